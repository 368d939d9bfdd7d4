"""run: continuations, stop strings, limits, seeds, Ctrl-C, readers that go away, checks and traces."""
import json
import signal
import subprocess
import termios
import unittest

from cli_case import FAILURE, IN_CI, OK, PUMICE, SOFTWARE_VULKAN, STORIES, USAGE, CliCase, Terminal

PROMPT = "Once upon a time"
# 100 tokens, greedy; the same in two outside implementations (see the README of the shared data).
KNOWN = (", there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red "
         "ball. She wanted to play with it, but it was too high.\n"
         "Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do")


class RunCase(CliCase):
    def setUp(self):
        self.need_stories()

    def text(self, *arguments, device="cpu", prompt=PROMPT, **more):
        result = self.pumice("run", "--model", STORIES, "--device", device, "--raw", "--prompt", prompt, *arguments,
                             **more)
        return result.stdout.decode()


class Continuation(RunCase):
    def test_known_text_on_every_device(self):
        devices = self.usable_devices()
        vulkan = [name for name in devices if name.startswith("vulkan")]
        if len(vulkan) < len(SOFTWARE_VULKAN) or (IN_CI and not vulkan):
            self.fail(f"Vulkan implementations {SOFTWARE_VULKAN}, but usable devices {devices}")
        for device in devices:
            with self.subTest(device):
                self.assertEqual(self.text("--max-tokens", 100, device=device), KNOWN)

    def test_automatic_device(self):
        self.assertEqual(self.text("-n", 100, device="auto"), KNOWN)

    def test_prompt_from_anywhere(self):
        path = self.folder / "prompt.txt"
        path.write_text(PROMPT)
        arguments = ["run", "--model", STORIES, "--device", "cpu", "--raw", "-n", "10"]
        known = self.text("-n", 10).encode()
        self.assertEqual(self.pumice(*arguments, PROMPT).stdout, known)
        self.assertEqual(self.pumice(*arguments, "--file", path).stdout, known)
        self.assertEqual(self.pumice(*arguments, "--file", "-", text=PROMPT).stdout, known)
        self.assertEqual(self.pumice(*arguments, text=PROMPT).stdout, known)

    def test_threads_batches_and_cache_types_make_no_difference(self):
        for more in (["--threads", 1], ["--threads", 3], ["--batch", 1], ["--batch", 2], ["--kv-type", "F32"], ["--ctx", 128]):
            with self.subTest(more):
                self.assertEqual(self.text("-n", 60, *more), KNOWN[:len(self.text("-n", 60))])

    def test_steps_in_one_submission_make_no_difference(self):
        for device in [name for name in self.usable_devices() if name.startswith("vulkan")]:
            for steps in 1, 5, 16:
                with self.subTest(f"{steps} on {device}"):
                    more = ["--steps", steps]
                    self.assertEqual(self.text("-n", 37, *more, device=device), self.text("-n", 37))
                    self.assertEqual(self.text("--stop", "park. One", *more, device=device),
                                     KNOWN[:KNOWN.index("park. One")])
                    self.assertEqual(self.text("--ctx", 40, *more, device=device), self.text("--ctx", 40))
        result = self.pumice("run", "--model", STORIES, "--steps", "17", PROMPT, status=USAGE)
        self.assertIn(b"17", result.stderr)

    def test_cache_that_does_not_suit_the_heads(self):
        result = self.pumice("run", "--model", STORIES, "--device", "cpu", "--raw", "--kv-type", "Q8_0", PROMPT, status=1)
        self.assertIn(b"a KV cache in Q8_0 needs heads of a multiple of 64 numbers, but those of this model have 8; use F16",
                      result.stderr)

    def test_context_full(self):
        result = self.pumice("run", "--model", STORIES, "--device", "cpu", "--raw", "--prompt", PROMPT, "--ctx", 32)
        self.assertTrue(KNOWN.startswith(result.stdout.decode()))
        self.assertGreater(len(result.stdout), 40)
        self.assertIn(b"context of 32 tokens is full", result.stderr)

    def test_prompt_longer_than_the_context(self):
        result = self.pumice("run", "--model", STORIES, "--device", "cpu", "--raw", "--ctx", 16, PROMPT * 10,
                             status=FAILURE)
        self.assertIn(b"context", result.stderr)

    def test_empty_prompt_starts_from_the_first_token(self):
        self.assertTrue(self.text("-n", 20, prompt="").lstrip().startswith("Once upon a time"))

    def test_figures_on_standard_error(self):
        result = self.pumice("run", "--model", STORIES, "--device", "cpu", "--raw", "-n", "20", PROMPT)
        self.assertRegex(result.stderr.decode(),
                         r"prompt 5 tokens, [\d.]+ tokens/s; first token after [\d.]+ s; answer 20 tokens, [\d.]+ tokens/s")

    def test_check_finds_nothing_to_say(self):
        self.assertEqual(self.text("-n", 8, "--check"), self.text("-n", 8))

    def test_trace_is_json(self):
        path = self.folder / "trace.json"
        self.text("-n", 4, "--trace", path)
        events = json.loads(path.read_text())
        events = events["traceEvents"] if isinstance(events, dict) else events
        self.assertGreater(len([e for e in events if e.get("ph") == "X"]), 10)
        result = self.pumice("run", "--model", STORIES, "--raw", "--trace", "/nonexistent/trace", "a", status=FAILURE)
        self.assertIn(b"/nonexistent/trace", result.stderr)


class Stops(RunCase):
    def test_stop_strings(self):
        for stop in ("girl", "little girl named", " She", "ball. She wanted", "\n", "."):
            with self.subTest(stop):
                self.assertEqual(self.text("-n", 100, "--stop", stop), KNOWN.partition(stop)[0])

    def test_the_first_of_several(self):
        self.assertEqual(self.text("-n", 100, "--stop", "ball", "--stop", "park", "--stop", "zebra"),
                         KNOWN.partition("park")[0])

    def test_the_beginning_of_a_stop_string_is_not_lost(self):
        self.assertEqual(self.text("-n", 100, "--stop", "little girl named Tom", "--stop", "to do nothing"), KNOWN)


class Sampling(RunCase):
    def test_seed_decides(self):
        settings = ["-n", 40, "--temp", 1.5]
        first = self.text(*settings, "--seed", 1)
        self.assertEqual(self.text(*settings, "--seed", 1), first)
        self.assertTrue(any(self.text(*settings, "--seed", seed) != first for seed in (2, 3, 4)))

    def test_seed_is_shown_and_can_be_used_again(self):
        arguments = ["run", "--model", STORIES, "--device", "cpu", "--raw", "-n", "30", "--temp", "1", PROMPT]
        result = self.pumice(*arguments)
        seed = result.stderr.decode().rstrip().rpartition("seed ")[2]
        self.assertEqual(self.pumice(*arguments, "--seed", seed).stdout, result.stdout)

    def test_narrowed_to_one_token_is_greedy(self):
        greedy = self.text("-n", 40)
        for narrow in (["--top-k", 1], ["--top-p", 0.0001], ["--min-p", 1]):
            with self.subTest(narrow):
                self.assertEqual(self.text("-n", 40, "--temp", 5, "--seed", 9, *narrow), greedy)

    def test_repeat_penalty_changes_the_text(self):
        self.assertNotEqual(self.text("-n", 100, "--repeat-penalty", 5), KNOWN)


class Interruption(RunCase):
    # Replaying every op on the reference makes the run slow enough to be interrupted.
    SLOW = ["run", "--model", STORIES, "--device", "cpu", "--check", "--raw", "--prompt", PROMPT, "--ctx", "512"]

    def test_ctrl_c_keeps_the_text_and_ends_cleanly(self):
        process = self.start(*self.SLOW)
        begin = process.stdout.read(12)
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
        text = (begin + rest).decode()
        self.assertEqual(process.returncode, OK, said)
        self.assertTrue(KNOWN.startswith(text) or text.startswith(KNOWN), text)
        self.assertIn(b"interrupted", said)
        self.assertIn(b"tokens/s", said)

    def test_ctrl_c_on_a_terminal(self):
        terminal = Terminal(self, *self.SLOW)
        before = termios.tcgetattr(terminal.fd)
        terminal.wait_for(b"there was")
        terminal.write(b"\x03")
        said = terminal.wait_for(b"first token after")
        self.assertEqual(terminal.wait_end(), OK)
        self.assertIn(b"interrupted", said)
        self.assertEqual(termios.tcgetattr(terminal.fd), before)

    def test_reader_goes_away(self):
        for n in (0, 5):
            process = self.start(*self.SLOW)
            process.stdout.read(n)
            process.stdout.close()
            self.assertEqual(process.wait(timeout=60), FAILURE)
            self.assertNotIn(b"pumice", process.stderr.read())
            process.stderr.close()

    def test_full_disk_ends_the_answer(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PUMICE, *map(str, self.SLOW)], stdout=full, stderr=subprocess.PIPE, env=self.env,
                                    stdin=subprocess.DEVNULL, check=False, timeout=60)
        self.assertEqual(result.returncode, FAILURE)
        self.assertIn(b"standard output", result.stderr)


if __name__ == "__main__":
    unittest.main()
