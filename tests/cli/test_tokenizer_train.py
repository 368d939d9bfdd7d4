"""`pumice tokenizer-train`: what comes out is what Hugging Face's trainers make, it works, and mistakes are named."""
import hashlib
import json
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from cli_case import FAILURE, PUMICE, USAGE, CliCase

DATA = Path(__file__).resolve().parent.parent / "data"
UDHR = DATA / "udhr.txt"
TYPES = ("bpe", "unigram", "wordpiece", "wordlevel")


def digest(value):
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


class TokenizerTrain(CliCase):
    def train(self, *arguments, name="tokenizer.json", **options):
        path = self.folder / name
        self.pumice("tokenizer-train", "-o", path, *arguments, **options)
        return path

    def model(self, *arguments):
        return json.loads(self.train(*arguments, UDHR).read_text("utf-8"))["model"]

    def ids(self, path, text, *options):
        return [int(i) for i in self.pumice("tokenize", "--model", path, "--ids", *options, text=text).stdout.split()]

    def decoded(self, path, ids):
        return self.pumice("detokenize", "--model", path, text=" ".join(map(str, ids))).stdout.decode()

    def test_the_same_as_the_other_trainers(self):
        golden = json.loads((DATA / "train_golden.json").read_text("utf-8"))
        bpe = self.model("-v", 3000)
        self.assertEqual(bpe["merges"][:20], golden["bpe"]["first_merges"])
        self.assertEqual((len(bpe["merges"]), digest(bpe["merges"])), (golden["bpe"]["n_merges"], golden["bpe"]["merges"]))
        self.assertEqual(digest(bpe["vocab"]), golden["bpe"]["vocab"])
        self.assertEqual(digest(self.model("--type", "wordlevel", "-v", 1000)["vocab"]), golden["wordlevel"]["vocab"])

    def test_threads_do_not_matter(self):
        for kind in TYPES:
            files = [self.train("--type", kind, "-v", 4000, "-t", n, UDHR, name=f"{kind}{n}.json").read_bytes()
                     for n in (1, 2, 5)]
            self.assertEqual(files[0], files[1], kind)
            self.assertEqual(files[0], files[2], kind)

    def test_texts_come_back(self):
        text = "Tous les êtres humains naissent libres. Все люди рождаются свободными. \U0001f999"
        for options in ([], ["--pattern", "llama-bpe"], ["--pattern", r"\w+|\W+"], ["--byte-fallback"],
                        ["--type", "unigram", "--byte-fallback"]):
            path = self.train("-v", 6000, *options, UDHR)
            ids = self.ids(path, text)
            self.assertEqual(self.decoded(path, ids), text, options)
            self.assertLess(len(ids), len(text), options)

    def test_words_get_better_with_size(self):
        text = UDHR.read_text("utf-8")
        for kind in ("bpe", "unigram", "wordpiece"):
            counts = [len(self.ids(self.train("--type", kind, "-v", size, UDHR), text)) for size in (3500, 6000)]
            self.assertLess(counts[1], counts[0], kind)

    def test_options(self):
        model = self.model("--type", "wordpiece", "-v", 5000, "--lowercase", "-s", "[UNK]", "-s", "[A]")
        self.assertEqual((model["vocab"]["[UNK]"], model["vocab"]["[A]"]), (0, 1))
        self.assertFalse([t for t in model["vocab"] if not t.startswith("[") and t != t.lower() and t.isascii()])
        path = self.train("--type", "wordpiece", "-v", 5000, UDHR)
        first, *_, last = self.ids(path, "human rights", "--special")
        vocabulary = json.loads(path.read_text("utf-8"))["model"]["vocab"]
        self.assertEqual((first, last), (vocabulary["[CLS]"], vocabulary["[SEP]"]))
        longest = max(len(t) for t in self.model("-v", 3000, "--max-token-length", 4)["vocab"] if t != "<|endoftext|>")
        self.assertLessEqual(longest, 4)
        characters = [t for t in self.model("--type", "unigram", "-v", 2000, "--alphabet-limit", 100)["vocab"]
                      if len(t[0]) == 1]
        self.assertEqual(len(characters), 100)

    def test_settings_of_another_tokenizer(self):
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps({"normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "WhitespaceSplit"},
                                        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": False},
                                        "model": {"vocab": {}}}))
        path = self.train("--type", "wordlevel", "--settings", settings, UDHR)
        written = json.loads(path.read_text("utf-8"))
        self.assertEqual(written["pre_tokenizer"], {"type": "WhitespaceSplit"})
        self.assertIn("dignity", written["model"]["vocab"])
        self.assertNotIn("All", written["model"]["vocab"])

    def test_bytes_that_are_no_text(self):
        path = self.folder / "bytes"
        path.write_bytes(bytes(range(256)) * 40 + b"\n" + os.urandom(5000))
        for kind in TYPES:
            tokenizer = self.train("--type", kind, "-v", 1000, "--alphabet-limit" if kind in ("unigram", "wordpiece") else "-t",
                                   64, path)
            self.ids(tokenizer, "abc")

    def test_mistakes(self):
        empty = self.folder / "empty"
        empty.write_bytes(b"")
        broken = self.folder / "broken.json"
        broken.write_text('{"normalizer": nul}')
        target = self.folder / "not-written.json"
        for arguments, says in (([empty], "no words"), ([self.folder / "nowhere"], "cannot be opened"),
                                ([self.folder], "a folder"), (["-v", 100, UDHR], "are wanted"),
                                (["--type", "unigram", "-v", 20, UDHR], "room for"),
                                (["--type", "wordlevel", "--byte-fallback", UDHR], "byte fallback is for"),
                                (["--pattern", "(", UDHR], "regular expression"),
                                (["--settings", broken, UDHR], "malformed JSON at byte"),
                                (["-s", "", UDHR], "special token is empty")):
            result = self.pumice("tokenizer-train", "-o", target, *arguments, status=FAILURE)
            self.assertIn(says, result.stderr.decode())
            self.assertEqual(list(self.folder.glob("not-written*")), [])
        result = self.pumice("tokenizer-train", "-o", self.folder / "no" / "such.json", UDHR, status=FAILURE)
        self.assertIn("cannot be written", result.stderr.decode())
        self.assertIn("which texts?", self.pumice("tokenizer-train", status=USAGE).stderr.decode())

    def test_interrupted(self):
        text = self.folder / "large.txt"
        text.write_bytes(UDHR.read_bytes() * 400)
        target = self.folder / "interrupted.json"
        with subprocess.Popen([PUMICE, "tokenizer-train", "--type", "unigram", "-o", target, text], stderr=subprocess.PIPE,
                              env=self.env) as process:
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1].decode()
        if process.returncode != 0:  # it may have been too quick
            self.assertIn("interrupted", said)
            self.assertEqual(list(self.folder.glob("interrupted*")), [])


if __name__ == "__main__":
    unittest.main()
