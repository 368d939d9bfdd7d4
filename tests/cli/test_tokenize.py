"""tokenize and detokenize: ids, special tokens, round trips, bytes that are no text."""
import json
import unittest

from cli_case import FAILURE, SHARED, STORIES, USAGE, CliCase

TEXTS = ["Once upon a time", "Hello, world!\n", "  two  spaces ", "na\u00efve caf\u00e9 \u65e5\u672c\u8a9e \U0001f600", "\t\r\n", "a"]
BOS = "1"


class Tokenize(CliCase):
    def setUp(self):
        self.need_stories()

    def ids(self, text, *more, model=STORIES):
        return self.pumice("tokenize", "--model", model, "--ids", *more, text=text).stdout.decode()

    def test_ids_are_one_line_of_numbers(self):
        self.assertRegex(self.ids("Once upon a time"), r"^\d+( \d+)*\n$")
        self.assertEqual(self.ids(""), "\n")

    def test_special_tokens_only_where_wanted(self):
        plain, special = self.ids("Once").split(), self.ids("Once", "--special").split()
        self.assertEqual(special, [BOS, *plain])
        # What stands in a text is text, unless the user says otherwise.
        self.assertNotIn(BOS, self.ids("<s>").split())
        self.assertIn(BOS, self.ids("<s>", "--parse-special").split())

    def test_standard_input_is_read_whole(self):
        self.assertNotEqual(self.ids("a\n"), self.ids("a"))
        self.assertEqual(self.ids("a b\nc\n"), self.pumice("tokenize", "--model", STORIES, "--ids", "a b\nc\n").stdout.decode())
        long = "Once upon a time. " * 20000
        self.assertGreater(len(self.ids(long).split()), 20000 * 4)

    def test_round_trip(self):
        for text in TEXTS:
            with self.subTest(text):
                back = self.pumice("detokenize", "--model", STORIES, text=self.ids(text)).stdout.decode()
                self.assertEqual(back, text)

    def test_round_trip_of_any_bytes(self):
        for data in (bytes(range(256)), b"\xff\xfe\x00\xc3", b"a\0b"):
            ids = self.pumice("tokenize", "--model", STORIES, "--ids", text=data).stdout
            self.assertEqual(self.pumice("detokenize", "--model", STORIES, text=ids).stdout, data)

    def test_ids_as_arguments(self):
        ids = self.ids("Once upon a time").split()
        self.assertEqual(self.pumice("detokenize", "--model", STORIES, *ids).stdout, b"Once upon a time")
        self.assertEqual(self.pumice("detokenize", "--model", STORIES, ",".join(ids)).stdout, b"Once upon a time")
        self.assertEqual(self.pumice("detokenize", "--model", STORIES, "--skip-special", BOS, *ids).stdout,
                         b"Once upon a time")

    def test_table_and_json_agree(self):
        text = "Once upon a \u00e9"
        ids = [int(i) for i in self.ids(text).split()]
        table = self.pumice("tokenize", "--model", STORIES, text).stdout.decode().splitlines()
        self.assertEqual([int(line.split()[0]) for line in table], ids)
        document = self.json("tokenize", "--model", STORIES, "--json", text)
        self.assertEqual([token["id"] for token in document["tokens"]], ids)
        self.assertEqual(document["n_tokens"], len(ids))
        ends = [token["end"] for token in document["tokens"]]
        self.assertEqual(ends, sorted(ends))
        self.assertEqual(ends[-1], len(text.encode()))

    def test_wrong_ids(self):
        for ids in ("512", "99999999999", "-1", "x", "1 two"):
            with self.subTest(ids):
                result = self.pumice("detokenize", "--model", STORIES, text=ids, status=FAILURE)
                self.assertEqual(result.stdout, b"")

    def test_missing_plugin(self):
        result = self.pumice("tokenize", "--model", STORIES, "--tokenizer", "nosuchplugin", "a", status=FAILURE)
        self.assertIn(b"nosuchplugin", result.stderr)
        garbage = self.folder / "garbage.so"
        garbage.write_bytes(b"no shared object")
        self.pumice("tokenize", "--model", STORIES, "--tokenizer", garbage, "a", status=FAILURE)


def tokenizer_json():
    """A byte-level BPE tokenizer of a few tokens."""
    vocab = {"a": 0, "b": 1, "\u0120": 2, "ab": 3, "\u0120ab": 4, "<|end|>": 5}
    end = {"id": 5, "content": "<|end|>", "special": True, "normalized": False, "lstrip": False, "rstrip": False,
           "single_word": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return json.dumps({"added_tokens": [end], "pre_tokenizer": byte_level, "decoder": byte_level,
                       "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", "\u0120 ab"]}})


class TokenizerFiles(CliCase):
    """What --model takes besides GGUF files."""

    def setUp(self):
        self.directory = self.folder / "released"
        self.directory.mkdir(exist_ok=True)
        (self.directory / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")

    def test_a_file_and_its_directory(self):
        for path in (self.directory, self.directory / "tokenizer.json"):
            self.assertEqual(self.pumice("tokenize", "--model", path, "--ids", "ab ab").stdout, b"3 4\n")
            self.assertEqual(self.pumice("tokenize", "--tokenizer-file", path, "--ids", "ab ab").stdout, b"3 4\n")
        self.assertEqual(self.pumice("detokenize", "--model", self.directory, "3", "4").stdout, b"ab ab")

    def test_offsets(self):
        lines = self.pumice("tokenize", "--model", self.directory, "--offsets", "ab ab").stdout.decode().splitlines()
        self.assertEqual([line.split()[:2] for line in lines], [["3", "0:2"], ["4", "2:5"]])
        self.pumice("tokenize", "--model", self.directory, "--offsets", "--ids", "ab", status=USAGE)

    def test_pairs_and_at_most_so_many_tokens(self):
        document = self.json("tokenize", "--model", self.directory, "--json", "--pair", "ab", "ab ab")
        self.assertEqual([(t["id"], t["sequence"]) for t in document["tokens"]], [(3, 1), (4, 1), (3, 2)])
        self.assertEqual(document["n_truncated"], 0)
        result = self.pumice("tokenize", "--model", self.directory, "--ids", "--max-tokens", "1", "ab ab")
        self.assertEqual(result.stdout, b"3\n")
        self.assertIn(b"1 tokens were cut off", result.stderr)

    def test_special_tokens_in_the_text(self):
        text = "ab<|end|>"
        self.assertEqual(self.pumice("tokenize", "--model", self.directory, "--ids", "--parse-special", text).stdout,
                         b"3 5\n")
        self.assertNotIn(b"5", self.pumice("tokenize", "--model", self.directory, "--ids", text).stdout.split())

    def test_what_is_no_tokenizer(self):
        letter = self.folder / "letter.txt"
        letter.write_text("Dear reader,")
        result = self.pumice("tokenize", "--model", letter, "a", status=FAILURE)
        self.assertIn(b"no tokenizer", result.stderr)
        result = self.pumice("tokenize", "--model", self.folder / "absent", "a", status=FAILURE)
        self.assertIn(b"absent", result.stderr)
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn(b"tokenizer.json", self.pumice("tokenize", "--model", empty, "a", status=FAILURE).stderr)
        broken = self.folder / "broken.json"
        broken.write_text(tokenizer_json()[:-20])
        self.assertIn(b"byte", self.pumice("tokenize", "--model", broken, "a", status=FAILURE).stderr)


class SharedVocabularies(CliCase):
    def test_byte_level_bpe_against_the_expected_ids(self):
        self.need_stories()
        for name in ("gpt-2", "llama-bpe"):
            path = SHARED / "tokenizers" / f"ggml-vocab-{name}.gguf"
            inputs = path.with_suffix(".gguf.inp").read_text(encoding="utf-8").split("\n__ggml_vocab_test__\n")
            expected = path.with_suffix(".gguf.out").read_text(encoding="utf-8").splitlines()
            # The others are the unit tests' business: here it is the way through the command that counts.
            for text, ids in list(zip(inputs, expected))[:6]:
                with self.subTest(model=name, text=text):
                    got = self.pumice("tokenize", "--model", path, "--ids", text=text).stdout.decode()
                    self.assertEqual(got.split(), ids.split())

    def test_merges_cannot_make_special_tokens(self):
        path = self.folder / "special.json"
        path.write_text(json.dumps({
            "added_tokens": [{"id": 2, "content": "ab", "special": True}],
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3, "bc": 4}, "merges": ["a b", "b c"]}}))
        for text, options, ids in (("ab", [], [0, 1]), ("abc", [], [0, 4]), ("abc", ["--parse-special"], [2, 3])):
            said = self.pumice("tokenize", "--model", path, "--ids", *options, text).stdout
            self.assertEqual([int(i) for i in said.split()], ids)


if __name__ == "__main__":
    unittest.main()
