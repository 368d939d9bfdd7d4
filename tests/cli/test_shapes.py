"""embed, fill, translate, score: the three shapes of models, with small ones whose numbers an outside implementation gave."""
import json
import math
import struct
import sys
import unittest
from pathlib import Path

from cli_case import FAILURE, USAGE, CliCase

TESTS = Path(__file__).resolve().parent.parent
GOLDEN = TESTS / "data" / "small"
sys.path.insert(0, str(TESTS / "models"))
import small_models  # noqa: E402


def read_golden(name):
    """{array: flat list} and {array: shape} of a .golden file."""
    data = (GOLDEN / f"{name}.golden").read_bytes()
    n = struct.unpack_from("<Q", data)[0]
    values, shapes = {}, {}
    for array, info in json.loads(data[8:8 + n]).items():
        if array != "__metadata__":
            begin, end = info["data_offsets"]
            code = {"F32": "f", "I32": "i"}[info["dtype"]]
            values[array] = struct.unpack_from(f"<{(end - begin) // 4}{code}", data, 8 + n + begin)
            shapes[array] = info["shape"]
    return values, shapes


def log_softmax(row):
    top = max(row)
    base = top + math.log(sum(math.exp(x - top) for x in row))
    return [x - base for x in row]


class Shapes(CliCase):
    def model(self, name, special=()):
        """The small model with a tokenizer that spells token i as the word "ti"; special: {id: (key, text)}."""
        folder = self.folder / f"{name}{'-'.join(map(str, special))}"
        small_models.write_model(folder, name)
        config = json.loads((folder / "config.json").read_text())
        special = dict(special)
        words = {i: special[i][1] if i in special else f"t{i}" for i in range(config["vocab_size"])}
        (folder / "tokenizer.json").write_text(json.dumps({
            "version": "1.0", "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None,
            "decoder": None, "added_tokens": [
                {"id": i, "content": text, "special": True, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False} for i, (_, text) in special.items()],
            "model": {"type": "WordLevel", "vocab": {w: i for i, w in words.items()}, "unk_token": words[0]}}))
        (folder / "tokenizer_config.json").write_text(json.dumps({key: text for key, text in special.values()}))
        return folder

    @staticmethod
    def words(ids):
        return " ".join(f"t{i}" for i in ids)

    def test_embeddings(self):
        golden, shapes = read_golden("bert_plain")
        folder = self.model("bert_plain")
        texts = [self.words(golden[f"tokens.{i}"]) for i in range(4)]
        for pooling in ("mean", "cls", "last"):
            result = self.json("embed", "--model", folder, "--format", "json", "--pooling", pooling, "--no-normalize", *texts)
            self.assertEqual((result["dimensions"], result["pooling"]), (48, pooling))
            self.assertEqual(len(result["embeddings"]), 4)
        one = self.json("embed", "--model", folder, "--format", "json", texts[0])["embeddings"][0]
        self.assertAlmostEqual(sum(x * x for x in one), 1, places=5)
        lines = self.pumice("embed", "--model", folder, text="\n".join(texts) + "\n").stdout.decode().splitlines()
        self.assertEqual(len(lines), 4)
        for a, b in zip(lines[0].split(), one):
            self.assertAlmostEqual(float(a), b, places=6)
        binary = self.pumice("embed", "--model", folder, "--format", "binary", *texts).stdout
        self.assertEqual(len(binary), 4 * 48 * 4)
        self.assertEqual(struct.unpack_from("<48f", binary), tuple(struct.unpack("<48f", struct.pack("<48f", *one))))

    def test_embeddings_are_the_hidden_states_pooled(self):
        golden, _ = read_golden("roberta")  # one segment alone, as the command has it
        folder = self.model("roberta")
        for i in range(4):
            n, states = len(golden[f"tokens.{i}"]), golden[f"hidden.{i}.2"]
            for pooling, want in (("mean", [sum(states[c::48]) / n for c in range(48)]), ("cls", states[:48]),
                                  ("last", states[-48:])):
                got = self.json("embed", "--model", folder, "--format", "json", "--pooling", pooling, "--no-normalize",
                                self.words(golden[f"tokens.{i}"]))["embeddings"][0]
                for a, b in zip(got, want):
                    self.assertAlmostEqual(a, b, places=4)

    def test_embeddings_of_decoders(self):
        golden, _ = read_golden("gpt2")
        folder = self.model("gpt2")
        result = self.json("embed", "--model", folder, "--format", "json", self.words(golden["tokens"]))
        self.assertEqual(result["pooling"], "last")
        self.assertEqual(len(result["embeddings"][0]), 48)

    def test_long_texts_are_cut_and_it_is_said(self):
        folder = self.model("bert_plain")
        result = self.pumice("embed", "--model", folder, self.words([5] * 100))
        self.assertIn(b"1 of 1 texts were cut to 40 tokens", result.stderr)
        self.assertEqual(self.pumice("embed", "--model", folder, self.words([5] * 40)).stdout, result.stdout)

    def test_fill(self):
        golden, shapes = read_golden("roberta")
        tokens, at = golden["tokens.0"], 3
        folder = self.model("roberta", special={tokens[at]: ("mask_token", "<mask>")})
        n_vocab = shapes["masked.0"][1]
        for i, token in enumerate(tokens):  # the mask's token may occur more than once
            if token == tokens[at]:
                last = i
        text = " ".join("<mask>" if t == tokens[at] else f"t{t}" for t in tokens)
        masks = self.json("fill", "--model", folder, "--json", "--top", 3, text)["masks"]
        want = log_softmax(golden["masked.0"][last * n_vocab:(last + 1) * n_vocab])
        best = sorted(range(n_vocab), key=lambda i: -want[i])[:3]
        self.assertEqual([t["id"] for t in masks[-1]], best)
        for t in masks[-1]:
            self.assertAlmostEqual(t["probability"], math.exp(want[t["id"]]), places=4)
        plain = self.pumice("fill", "--model", folder, "--top", 3, text).stdout.decode()
        self.assertIn(f"t{best[0]}" if best[0] != tokens[at] else "<mask>", plain)
        self.assertEqual(self.pumice("fill", "--model", folder, "--top", 3, text=text).stdout.decode(), plain)

    def test_fill_says_what_it_cut(self):
        folder = self.model("roberta", special={4: ("mask_token", "<mask>")})
        words = self.words([5] * 100)
        result = self.pumice("fill", "--model", folder, f"<mask> {words}")
        self.assertIn(b"the text was cut to 40 tokens", result.stderr)
        result = self.pumice("fill", "--model", folder, f"{words} <mask>", status=FAILURE)
        self.assertIn(b"the text was cut to 40 tokens", result.stderr)

    def test_next_sentence(self):
        folder = self.model("bert", special={4: ("mask_token", "[MASK]")})
        result = self.json("fill", "--model", folder, "--json", self.words([7, 8, 9]), "--next", self.words([10, 11]))
        self.assertTrue(0 < result["next_sentence"] < 1)

    def test_translate(self):
        for name in ("t5", "marian", "bart"):
            golden, _ = read_golden(name)
            folder = self.model(name, special={golden["ends"][0]: ("eos_token", "</s>")})
            texts = [self.words(golden[f"prompt.{i}"]) for i in range(5)]
            got = self.json("translate", "--model", folder, "--json", "--max-tokens", 40, "--kv-type", "F32", *texts)
            for i, found in enumerate(got["translations"]):
                ids = [t for t in golden[f"beam.{i}"] if t != golden["ends"][0]]
                self.assertEqual(found[0]["text"], self.words(ids), (name, i))
                self.assertAlmostEqual(found[0]["score"], golden[f"beam_score.{i}"][0], places=4)
            lines = self.pumice("translate", "--model", folder, "--max-tokens", 40, "--kv-type", "F32", text="\n".join(texts)).stdout
            self.assertEqual(lines.decode().splitlines(), [found[0]["text"] for found in got["translations"]])

    def test_translating_a_file(self):
        """A line stays beside its translation, also where it is empty; an error says which it was."""
        folder = self.model("marian")
        out = self.pumice("translate", "--model", folder, "-n", 3, text="t5 t6\n\nt7\n").stdout.decode()
        self.assertEqual([bool(line) for line in out.split("\n")], [True, False, True, False])
        result = self.json("translate", "--model", folder, "-n", 3, "--json", text="t5 t6\n\nt7\n")
        self.assertEqual(result["translations"][1][0]["text"], "")
        said = self.pumice("translate", "--model", folder, "-n", 3, text=f"t5\n{self.words([5] * 500)}\n", status=FAILURE)
        self.assertIn(b"text 2 of 2: a sequence of 500 tokens is too long: at most 64", said.stderr)

    def test_run_takes_the_prompt_as_the_source(self):
        golden, _ = read_golden("t5_gated")
        folder = self.model("t5_gated", special={golden["ends"][0]: ("eos_token", "</s>")})
        for i in range(5):
            want = [t for t in golden[f"greedy.{i}"] if t != golden["ends"][0]]
            got = self.pumice("run", "--model", folder, "--max-tokens", 40, "--kv-type", "F32", "--temp", 0,
                              self.words(golden[f"prompt.{i}"])).stdout.decode()
            self.assertEqual(got.split(), self.words(want).split())
        self.assertIn(b"no system message", self.pumice("run", "--model", folder, "--system", "t5", "t6",
                                                        status=FAILURE).stderr)

    def test_score_of_a_target(self):
        golden, shapes = read_golden("bart")
        folder = self.model("bart")
        target, n_vocab = golden["target.0"], shapes["logits.0"][1]
        result = self.json("score", "--model", folder, "--json", "--kv-type", "F32", "--top-logprobs", 2, "--source",
                           self.words(golden["source.0"]), self.words(target[1:]))
        self.assertEqual([t["id"] for t in result["tokens"]], list(target))
        for i, token in enumerate(result["tokens"][1:]):
            want = log_softmax(golden["logits.0"][i * n_vocab:(i + 1) * n_vocab])
            self.assertAlmostEqual(token["log_prob"], want[target[i + 1]], places=3)
            self.assertEqual(token["top_logprobs"][0]["id"], max(range(n_vocab), key=lambda k: want[k]))

    def test_score_of_a_masked_model(self):
        golden, _ = read_golden("roberta")
        folder = self.model("roberta", special={4: ("mask_token", "<mask>")})
        result = self.json("score", "--model", folder, "--json", self.words([t for t in golden["tokens.0"] if t != 4]))
        self.assertEqual(result["n_scored"], result["n_tokens"])
        self.assertTrue(all(t["log_prob"] < 0 for t in result["tokens"]))

    def test_score_of_a_decoder(self):
        golden, shapes = read_golden("gpt2")
        folder = self.model("gpt2")
        tokens, n_vocab = golden["tokens"], shapes["logits"][1]
        result = self.json("score", "--model", folder, "--json", "--kv-type", "F32", "--top-logprobs", 1, self.words(tokens))
        for i, token in enumerate(result["tokens"][1:]):
            want = log_softmax(golden["logits"][i * n_vocab:(i + 1) * n_vocab])
            self.assertAlmostEqual(token["log_prob"], want[tokens[i + 1]], places=3)
            self.assertAlmostEqual(token["top_logprobs"][0]["log_prob"], max(want), places=3)

    def test_shapes_that_do_not_fit(self):
        bert, gpt2, t5 = self.model("bert_plain"), self.model("gpt2"), self.model("t5")
        for arguments, said in (
                (("translate", "--model", bert, "t5"), b"no encoder and decoder"),
                (("translate", "--model", gpt2, "t5"), b"no encoder and decoder"),
                (("run", "--raw", "--model", bert, "t5"), b"pumice embed"),
                (("run", "--model", bert, "t5"), b"pumice embed"),
                (("fill", "--model", bert, "t5"), b"no mask token"),
                (("score", "--model", bert, "t5 t6"), b"no mask token"),
                (("score", "--model", t5, "t5 t6"), b"--source"),
                (("score", "--model", gpt2, "--source", "t5", "t5 t6"), b"--source")):
            self.assertIn(said, self.pumice(*arguments, status=FAILURE).stderr)

    def test_usage(self):
        for arguments in (("fill",), ("embed", "x", "--file", "y"), ("translate", "x", "--file", "y"),
                          ("translate", "--beams", "0"), ("embed", "--pooling", "median", "x")):
            self.pumice(*arguments, status=USAGE)
        for command in ("embed", "fill", "translate"):
            self.assertIn(b"Usage: pumice " + command.encode(), self.pumice(command, "--help").stdout)


if __name__ == "__main__":
    unittest.main()
