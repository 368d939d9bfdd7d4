"""score: log-probabilities, sums, perplexity, windows."""
import math
import unittest

from cli_case import FAILURE, STORIES, USAGE, CliCase

TEXT = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."


class Score(CliCase):
    def setUp(self):
        self.need_stories()

    def score(self, *arguments, **more):
        return self.json("score", "--model", STORIES, "--device", "cpu", "--json", *arguments, **more)

    def test_document(self):
        document = self.score(TEXT)
        tokens = document["tokens"]
        self.assertEqual(document["n_tokens"], len(tokens))
        self.assertEqual(document["n_scored"], len(tokens) - 1)
        self.assertIsNone(tokens[0]["log_prob"])  # <s>: nothing comes before it
        log_probs = [token["log_prob"] for token in tokens[1:]]
        self.assertTrue(all(value <= 0 for value in log_probs))
        self.assertAlmostEqual(document["log_prob"], sum(log_probs), places=4)
        self.assertAlmostEqual(document["perplexity"], math.exp(-sum(log_probs) / len(log_probs)), places=4)
        # The model was trained on such stories, and not on such noise.
        self.assertLess(document["perplexity"], 4)
        self.assertGreater(self.score("xq zw vvk jjj qqp")["perplexity"], 100)

    def test_devices_agree(self):
        expected = self.score("--kv-type", "F32", TEXT)
        for device in self.usable_devices():
            with self.subTest(device):
                document = self.json("score", "--model", STORIES, "--device", device, "--json", "--kv-type", "F32",
                                     "--no-self-test", TEXT)
                for got, want in zip(document["tokens"][1:], expected["tokens"][1:]):
                    self.assertAlmostEqual(got["log_prob"], want["log_prob"], delta=0.02)

    def test_table(self):
        document = self.score(TEXT)
        result = self.pumice("score", "--model", STORIES, "--device", "cpu", TEXT)
        lines = result.stdout.decode().splitlines()
        self.assertEqual(len(lines), 1 + document["n_tokens"] + 3)
        self.assertAlmostEqual(float(lines[-1].split()[1]), document["perplexity"], places=4)
        self.assertAlmostEqual(float(lines[-2].split()[1]), document["log_prob"], places=4)

    def test_file_gets_totals(self):
        path = self.folder / "story.txt"
        path.write_text(TEXT)
        arguments = ["score", "--model", STORIES, "--device", "cpu"]
        by_file = self.pumice(*arguments, "--file", path).stdout.decode()
        self.assertEqual(len(by_file.splitlines()), 3)
        self.assertEqual(by_file, self.pumice(*arguments, text=TEXT).stdout.decode())
        listed = self.pumice(*arguments, "--file", path, "--tokens").stdout.decode()
        self.assertTrue(listed.endswith(by_file))
        self.assertEqual(listed, self.pumice(*arguments, TEXT).stdout.decode())

    def test_windows(self):
        whole = self.score(TEXT)
        windowed = self.score("--window", 16, "--stride", 8, TEXT)
        self.assertEqual(windowed["n_scored"], whole["n_scored"])
        # The first window sees what the whole text sees; the later ones less.
        for got, want in zip(windowed["tokens"][1:16], whole["tokens"][1:16]):
            self.assertAlmostEqual(got["log_prob"], want["log_prob"], places=3)
        self.assertNotAlmostEqual(windowed["log_prob"], whole["log_prob"], places=3)
        self.assertLess(abs(windowed["log_prob"] - whole["log_prob"]), 0.2 * abs(whole["log_prob"]))
        # A stride of one token gives each token all the context that the window has room for.
        by_one = self.score("--window", 16, "--stride", 1, TEXT)
        self.assertEqual(by_one["n_scored"], whole["n_scored"])

    def test_windows_that_stand_alone(self):
        whole = self.score(TEXT)
        alone = self.score("--window", 16, "--stride", 16, TEXT)
        n = whole["n_tokens"]
        unscored = [i for i in range(n) if alone["tokens"][i]["log_prob"] is None]
        self.assertEqual(unscored, list(range(0, n, 16)))
        self.assertEqual(alone["n_scored"], n - len(unscored))
        self.pumice("score", "--model", STORIES, "--window", 16, "--stride", 17, TEXT, status=USAGE)

    def test_max_tokens(self):
        whole = self.score(TEXT)
        part = self.score("--max-tokens", 10, TEXT)
        self.assertEqual(part["n_tokens"], 10)
        for got, want in zip(part["tokens"][1:], whole["tokens"][1:10]):
            self.assertAlmostEqual(got["log_prob"], want["log_prob"], places=3)

    def test_longer_than_the_context(self):
        document = self.score("--ctx", 64, text=(TEXT + "\n") * 8)
        self.assertEqual(document["n_scored"], document["n_tokens"] - 1)
        self.assertGreater(document["n_tokens"], 200)

    def test_too_short(self):
        self.pumice("score", "--model", STORIES, "--device", "cpu", "", status=FAILURE)


if __name__ == "__main__":
    unittest.main()
