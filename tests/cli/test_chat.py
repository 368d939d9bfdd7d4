"""Chats: templates, slash commands, history, Ctrl-C at the prompt and in an answer. The model is the small stories
model, given a chat template: its answers are stories, but they go the way of every answer."""
import termios
import unittest

from cli_case import FAILURE, OK, STORIES, CliCase, Terminal
from gguf_edit import add_texts

# The templates of SmolLM2 (ChatML) and of LLaMA 2, as released.
CHATML = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\n"
          "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\\n' }}{% endif %}"
          "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


class Chat(CliCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if STORIES.exists():
            cls.model = cls.folder / "chat.gguf"
            cls.model.write_bytes(add_texts(STORIES.read_bytes(), {"tokenizer.chat_template": CHATML}))
            cls.arguments = ["--model", cls.model, "--device", "cpu", "--temp", "0", "-n", "6"]

    def setUp(self):
        self.need_stories()

    def chat(self, text, *more):
        return self.pumice("run", "--chat", *self.arguments, *more, text=text)

    def test_answer_of_one_prompt(self):
        result = self.pumice("run", *self.arguments, "Tell me a story.")
        self.assertTrue(result.stdout.endswith(b"\n"))
        self.assertGreater(len(result.stdout), 5)
        self.assertRegex(result.stderr.decode(), r"prompt \d+ tokens")
        # The template is there: more tokens than the prompt alone has.
        plain = self.pumice("tokenize", "--model", self.model, "--ids", "Tell me a story.").stdout.split()
        n_prompt = int(result.stderr.decode().partition("prompt ")[2].split()[0])
        self.assertGreater(n_prompt, len(plain) + 10)

    def test_system_message_counts(self):
        arguments = ["run", *self.arguments, "Tell me a story."]
        n_prompt = [int(self.pumice(*arguments, *more).stderr.decode().partition("prompt ")[2].split()[0])
                    for more in ([], ["--system", "x" * 300])]
        self.assertGreater(n_prompt[1], n_prompt[0] + 50)

    def test_model_without_a_template(self):
        result = self.pumice("run", "--model", STORIES, "--device", "cpu", "Hello", status=FAILURE)
        self.assertIn(b"--raw", result.stderr)
        self.assertEqual(result.stdout, b"")

    def test_template_of_a_file_or_by_name(self):
        own = self.pumice("run", *self.arguments, "Hello").stdout
        path = self.folder / "chat.jinja"
        path.write_text(CHATML)
        arguments = ["run", "--model", STORIES, *self.arguments[2:], "Hello", "--template"]
        self.assertEqual(self.pumice(*arguments, path).stdout, own)
        self.pumice(*arguments, "chatml")
        self.assertIn(b"nowhere.jinja", self.pumice(*arguments, "nowhere.jinja", status=FAILURE).stderr)
        path.write_text("one\n{{ messages | frobnicate }}")
        result = self.pumice(*arguments, path, status=FAILURE)
        self.assertIn(b"line 2", result.stderr)
        self.assertIn(b"`{{ messages | frobnicate }}`", result.stderr)

    def test_model_whose_template_is_not_understood(self):
        model = self.folder / "odd.gguf"
        model.write_bytes(add_texts(STORIES.read_bytes(), {"tokenizer.chat_template": "{% import 'x' as y %}"}))
        said = self.pumice("run", "--model", model, "--device", "cpu", "Hello", status=FAILURE).stderr
        self.assertIn(b"`{% import 'x' as y %}`", said)
        self.assertIn(b"--raw", said)

    def test_lines_are_messages(self):
        result = self.chat("Hello\nAnd then?\n")
        self.assertEqual(result.stderr.count(b"first token after"), 2)
        one = self.pumice("run", *self.arguments, "Hello").stdout
        self.assertTrue(result.stdout.startswith(one), (result.stdout, one))

    def test_the_timeline_is_kept_between_turns(self):
        said = self.chat("Hello\nAnd then?\n").stderr.decode()
        evaluated = [int(part.split()[0]) for part in said.split("prompt ")[1:]]
        whole = int(self.pumice("run", *self.arguments, "Hello").stderr.decode().partition("prompt ")[2].split()[0])
        self.assertEqual(evaluated[0], whole)
        self.assertLess(evaluated[1], whole)

    def test_reset_forgets(self):
        result = self.chat("Hello\n/reset\nHello\n/exit\nnever asked\n")
        answers = result.stdout.decode()
        half = len(answers) // 2
        self.assertEqual(answers[:half], answers[half:])
        self.assertEqual(result.stderr.count(b"first token after"), 2)

    def test_slash_commands(self):
        result = self.chat("/help\n/rest\n/qqqqqqqq\n\n   \n/quit\n")
        self.assertEqual(result.stdout, b"")
        self.assertIn(b"forget the conversation", result.stderr)
        self.assertIn(b"did you mean /reset", result.stderr)
        self.assertIn(b"no /qqqqqqqq", result.stderr)

    def test_prompt_and_then_chat(self):
        result = self.pumice("run", "--chat", *self.arguments, "--prompt", "Hello", text="And then?\n")
        self.assertEqual(result.stdout, self.chat("Hello\nAnd then?\n").stdout)

    def test_conversation_longer_than_the_context(self):
        result = self.chat("Hello\n" + "word " * 400 + "\nHello again\n", "--ctx", "256", "--quiet")
        self.assertIn(b"context", result.stderr)
        self.assertGreater(result.stdout.count(b"\n"), 1)

    def test_terminal(self):
        terminal = Terminal(self, "run", *self.arguments)
        terminal.wait_prompt()
        terminal.write(b"Hello\n")
        terminal.wait_for(b"first token after")
        terminal.wait_prompt()
        terminal.write(b"/hel\x7flp\n")  # edited with backspace
        terminal.wait_for(b"forget the conversation")
        terminal.wait_prompt()
        terminal.write(b"\x03")
        terminal.wait_for(b"Ctrl-C again")
        terminal.wait_prompt()
        terminal.write(b"caf\xc3\xa9\n")
        terminal.wait_for(b"first token after")
        terminal.wait_prompt()
        terminal.write(b"\x04")
        self.assertEqual(terminal.wait_end(), OK)
        history = self.folder / "state" / "pumice" / "history"
        self.assertIn("Hello", history.read_text())
        self.assertEqual(history.stat().st_mode & 0o077, 0)

    def test_ctrl_c_in_an_answer_goes_back_to_the_prompt(self):
        terminal = Terminal(self, "run", "--model", self.model, "--device", "cpu", "--check", "--temp", "0")
        terminal.wait_prompt()
        terminal.write(b"Hello\n")
        terminal.wait_for(b"\r\n")
        while not terminal.read(1):  # the answer begins
            pass
        cooked = termios.tcgetattr(terminal.fd)
        self.assertTrue(cooked[3] & termios.ECHO)
        self.assertTrue(cooked[3] & termios.ICANON)
        terminal.write(b"\x03")
        terminal.wait_for(b"first token after")
        terminal.wait_prompt()
        terminal.write(b"/exit\n")
        self.assertEqual(terminal.wait_end(), OK)

    def test_progress_and_colour_only_where_wanted(self):
        for env, colour in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            with self.subTest(env):
                terminal = Terminal(self, "run", "--raw", *self.arguments, "Once", env=env)
                self.assertEqual(terminal.wait_end(), OK)
                self.assertEqual(b"\x1b[2m" in terminal.seen, colour)
                self.assertEqual(b"\r\x1b[K" in terminal.seen, env.get("TERM") != "dumb")

    def test_quiet_on_a_terminal(self):
        terminal = Terminal(self, "run", "--quiet", "--raw", *self.arguments, "Once")
        self.assertEqual(terminal.wait_end(), OK)
        self.assertNotIn(b"\x1b", terminal.seen)


if __name__ == "__main__":
    unittest.main()
