"""`pumice tokenizer-check`: plugins that keep the rules pass, each broken one fails with the reason."""
import json
import os
import unittest
from pathlib import Path

from cli_case import FAILURE, PUMICE, USAGE, CliCase

TEST_PLUGINS = Path(PUMICE).parent.parent / "test_plugins"

# What is wrong with each plugin, and what the report must say of it.
FAULTS = {
    "crash": "crashed",
    "exit": "ended the program",
    "overrun": "past the end of a buffer",
    "bad_id": "gives the id 256",
    "span": "spans bytes",
    "forgetful": "other ids",
    "count": "ids",
    "refusal": "refuses a NUL byte",
    "decode": "becomes something else",
    "any_id": "is not ARGUMENT",
}


class TokenizerCheck(CliCase):
    def check(self, *arguments, **options):
        return self.pumice("tokenizer-check", *arguments, **options).stdout.decode()

    def test_own_plugins_pass(self):
        for name in ("bpe", "unigram", "whitespace", "wordpiece"):
            with self.subTest(name):
                self.assertIn("all checks passed", self.check(name, "--rounds", 300))

    def test_third_party_plugins_pass(self):
        names = ["outside_c.so"] + ["outside_cxx.so"] * (TEST_PLUGINS / "outside_cxx.so").exists()
        for name in names:
            with self.subTest(name):
                said = self.check(TEST_PLUGINS / name, "--rounds", 300, "--lossless")
                self.assertIn("18 of 18 texts come back", said)

    def test_faults_are_found(self):
        for fault, words in FAULTS.items():
            with self.subTest(fault):
                said = self.check(TEST_PLUGINS / f"rude_{fault}.so", "--quiet", "--rounds", 50, "--lossless",
                                  status=FAILURE)
                self.assertIn("FAILED", said)
                self.assertTrue(words in said or fault == "decode" and "come back as it was" in said, said)

    def test_vocabulary_of_a_file(self):
        document = json.loads(self.check("bpe", "--json", "--rounds", 100, "--lossless", "--vocabulary",
                                         self.tokenizer("ggml-vocab-gpt-2.gguf")))
        self.assertEqual(document["n_failed"], 0)
        self.assertGreater(len(document["checks"]), 10)
        self.assertTrue(all(check["outcome"] == "ok" for check in document["checks"]), document)

    def test_plugins_that_do_not_load(self):
        for name, words in (("bad_abi.so", "version 42"), ("bad_symbol.so", "pumice_plugin"), ("no.so", "no.so")):
            with self.subTest(name):
                said = self.pumice("tokenizer-check", TEST_PLUGINS / name, status=FAILURE).stderr.decode()
                self.assertIn(words, said)
        self.pumice("tokenizer-check", status=USAGE)

    @staticmethod
    def tokenizer(name):
        return Path(os.environ["PUMICE_SHARED_DATA"]) / "tokenizers" / name


if __name__ == "__main__":
    unittest.main()
