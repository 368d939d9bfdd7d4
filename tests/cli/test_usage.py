"""Help texts, wrong usage, exit statuses, and what goes to which stream."""
import re
import subprocess
import unittest

from cli_case import FAILURE, PUMICE, STORIES, USAGE, CliCase

COMMANDS = ["run", "score", "bench", "devices", "inspect", "tokenize", "detokenize", "pull"]


class Help(CliCase):
    def test_every_command_is_listed_and_has_help(self):
        listed = self.pumice("--help").stdout.decode()
        for command in COMMANDS:
            with self.subTest(command):
                self.assertRegex(listed, rf"(?m)^  {command} ")
                result = self.pumice(command, "--help")
                self.assertEqual(result.stderr, b"")
                self.assertTrue(result.stdout.startswith(f"Usage: pumice {command} ".encode()), result.stdout[:80])
                self.assertEqual(result.stdout, self.pumice("help", command).stdout)
                self.assertEqual(result.stdout, self.pumice(command, "-h").stdout)

    def test_help_fits_a_terminal(self):
        for command in COMMANDS:
            for line in self.pumice(command, "--help").stdout.decode().splitlines():
                self.assertLessEqual(len(line), 115, line)

    def test_help_three_ways(self):
        text = self.pumice("--help").stdout
        self.assertEqual(text, self.pumice("help").stdout)
        self.assertEqual(text, self.pumice("-h").stdout)
        for promise in (b"--version", b"standard error", b"Exit status"):
            self.assertIn(promise, text)

    def test_version(self):
        self.assertRegex(self.pumice("--version").stdout.decode(), r"^pumice \d+\.\d+\.\d+\n$")


class WrongUsage(CliCase):
    def wrong(self, *arguments):
        result = self.pumice(*arguments, status=USAGE)
        self.assertEqual(result.stdout, b"", arguments)
        return result.stderr.decode()

    def test_no_command(self):
        self.assertIn("Usage: pumice COMMAND", self.wrong())

    def test_unknown_command(self):
        self.assertIn("did you mean 'inspect'?", self.wrong("inspct"))
        self.assertIn("unknown command 'qqqqqqqq'", self.wrong("qqqqqqqq"))
        self.assertNotIn("did you mean", self.wrong("qqqqqqqq"))
        self.assertIn("unknown command", self.wrong("help", "qqqqqqqq"))
        self.assertIn("unknown option", self.wrong("--verson"))

    def test_unknown_option_in_every_command(self):
        for command in COMMANDS:
            with self.subTest(command):
                said = self.wrong(command, "--hlep")
                self.assertIn("unknown option '--hlep'; did you mean '--help'?", said)
                self.assertIn(f"Try 'pumice {command} --help'", said)
                self.assertIn("unknown option '-Z'", self.wrong(command, "-Z"))

    def test_nearest_option(self):
        for given, meant in (("--promt", "--prompt"), ("--temperature", "--temp"), ("--max-token", "--max-tokens"),
                             ("--sed", "--seed"), ("-model", "--model")):
            self.assertIn(f"did you mean '{meant}'?", self.wrong("run", given, "1"))

    def test_values(self):
        for arguments, said in (
                (("--max-tokens",), "--max-tokens needs a value"),
                (("--max-tokens", "many"), "whole number"),
                (("--max-tokens", "-1"), "whole number from 0"),
                (("--max-tokens", "99999999999999999999"), "whole number"),
                (("--temp", "nan"), "a number from 0"),
                (("--temp", "1e999"), "a number from 0"),
                (("--top-p=1.5",), "a number from 0 to 1"),
                (("--seed", "-1"), "2^64-1"),
                (("--seed", "18446744073709551616"), "2^64-1"),
                (("--tier", "T9"), "one of best, T0, T1, T2, T3"),
                (("--raw=yes",), "--raw takes no value"),
                (("a", "b"), "unexpected argument 'b'"),
                (("--prompt", "a", "b"), "given twice"),
                (("--prompt", "a", "--file", "b"), "given twice"),
                (("--raw", "--system", "a", "b"), "--raw"),
                (["--stop=x"] * 17, "at most 16 times")):
            with self.subTest(arguments):
                self.assertIn(said, self.wrong("run", *arguments))

    def test_other_commands(self):
        self.assertIn("which?", self.wrong("tokenize", "--ids", "--json", "a"))
        self.assertIn("which?", self.wrong("tokenize", "--file", "a", "b"))
        self.assertIn("--stride must not be more", self.wrong("score", "--window", "8", "--stride", "9", "a"))
        self.assertIn("two model files", self.wrong("inspect", "--model", "a", "b"))

    def test_forms_of_options(self):
        self.need_stories()
        ids = self.pumice("tokenize", "--model", STORIES, "--ids", "a b").stdout
        for form in (["-m", STORIES, "-i"], [f"--model={STORIES}", "--ids"], [f"-m{STORIES}", "-i", "--"]):
            self.assertEqual(ids, self.pumice("tokenize", *form, "a b").stdout)


class Streams(CliCase):
    def test_failures_say_why_on_standard_error_alone(self):
        garbage = self.folder / "garbage.gguf"
        garbage.write_bytes(b"this is no model" * 100)
        empty = self.folder / "empty.gguf"
        empty.write_bytes(b"")
        for command in (["run", "--prompt", "a"], ["score", "a"], ["inspect"], ["tokenize", "a"], ["detokenize", "1"]):
            for model, said in ((self.folder / "missing.gguf", "No such file"), (garbage, "garbage.gguf"),
                                (empty, "empty.gguf"), (self.folder, str(self.folder))):
                with self.subTest(command=command, model=model):
                    result = self.pumice(*command, "--model", model, status=FAILURE)
                    self.assertEqual(result.stdout, b"")
                    self.assertIn(said, result.stderr.decode())
                    self.assertTrue(result.stderr.startswith(f"pumice {command[0]}: ".encode()), result.stderr)

    def test_no_default_model(self):
        for command in (["run", "--prompt", "a"], ["score", "a"], ["inspect"], ["tokenize", "a"]):
            result = self.pumice(*command, status=FAILURE)
            self.assertIn(b"pumice pull", result.stderr)
            self.assertIn(b"--model", result.stderr)

    def test_unknown_device(self):
        self.need_stories()
        result = self.pumice("run", "--model", STORIES, "--device", "abacus", "--raw", "--prompt", "a",
                             status=FAILURE)
        self.assertIn(b"abacus", result.stderr)
        self.assertIn(b"cpu", result.stderr)

    def test_missing_files(self):
        for command in ("run", "score", "tokenize"):
            result = self.pumice(command, "--file", self.folder / "nothing.txt", status=FAILURE)
            self.assertIn(b"nothing.txt", result.stderr)

    def test_no_colour_and_no_bars_without_a_terminal(self):
        self.need_stories()
        result = self.pumice("run", "--model", STORIES, "--raw", "--prompt", "a", "-n", "2")
        self.assertNotIn(b"\033", result.stdout + result.stderr)
        self.assertNotIn(b"\r", result.stdout + result.stderr)

    def test_quiet(self):
        self.need_stories()
        result = self.pumice("run", "--model", STORIES, "--raw", "--prompt", "a", "-n", "2", "--quiet", "-d", "cpu")
        self.assertEqual(result.stderr, b"")

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            for arguments in (["--help"], ["devices"], ["run", "--help"]):
                result = subprocess.run([PUMICE, *arguments], stdout=full, stderr=subprocess.PIPE, env=self.env,
                                        check=False, timeout=60)
                self.assertEqual(result.returncode, FAILURE, arguments)
                self.assertRegex(result.stderr.decode(), re.compile("standard output"))

    def test_closed_standard_output(self):
        result = subprocess.run(["/bin/sh", "-c", f"exec {PUMICE} --help >&-"], stderr=subprocess.PIPE, env=self.env,
                                check=False, timeout=60)
        self.assertEqual(result.returncode, FAILURE)
        self.assertIn(b"standard output", result.stderr)


if __name__ == "__main__":
    unittest.main()
