"""`pumice convert`: what it writes is the model that it read, to the last bit or within the bounds of its types; and what goes
wrong leaves nothing behind."""
import array
import json
import math
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

from cli_case import FAILURE, STORIES, USAGE, CliCase, Terminal

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "models"))
from make_hf_directories import Gguf, write_safetensors  # noqa: E402

TEXT = TESTS / "data" / "udhr.txt"
LLAMA = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
         "max_position_embeddings": 256, "rope_theta": 10000.0, "tie_word_embeddings": False}

# Spaces are U+2581, and there is one in front.
LIKE_LLAMA_2 = {
    "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "pre_tokenizer": None, "post_processor": None,
    "decoder": {"type": "Sequence", "decoders": [
        {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}

# The root of the mean squared error beside that of the values, for values from a normal distribution; a step^2 / 12 of
# their range in a block of the type's levels, with some room. The last is the type of rows of 96, which are no blocks of 256.
TYPES = {"F32": (0, "F32"), "F16": (3e-4, "F16"), "BF16": (2.5e-3, "BF16"), "Q8_0": (7e-3, "Q8_0"), "Q4_0": (0.1, "Q4_0"),
         "Q4_1": (0.09, "Q4_1"), "Q5_0": (0.05, "Q5_0"), "Q5_1": (0.045, "Q5_1"), "Q4_K": (0.08, "Q5_0"),
         "Q5_K": (0.04, "Q5_1"), "Q6_K": (0.02, "Q8_0")}


def shapes(hidden, feed_forward, n_layers, vocab):
    yield "model.embed_tokens.weight", [vocab, hidden]
    for i in range(n_layers):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", [hidden]
        yield layer + "post_attention_layernorm.weight", [hidden]
        for name, rows, columns in (("self_attn.q", hidden, hidden), ("self_attn.k", hidden // 2, hidden),
                                    ("self_attn.v", hidden // 2, hidden), ("self_attn.o", hidden, hidden),
                                    ("mlp.gate", feed_forward, hidden), ("mlp.up", feed_forward, hidden),
                                    ("mlp.down", hidden, feed_forward)):
            yield f"{layer}{name}_proj.weight", [rows, columns]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [vocab, hidden]


def config(hidden, feed_forward, n_layers, vocab):
    return json.dumps({**LLAMA, "hidden_size": hidden, "intermediate_size": feed_forward, "num_hidden_layers": n_layers,
                       "vocab_size": vocab})


def write_random(folder, hidden, feed_forward, n_layers, vocab, change=None):
    """A LLaMA of random weights; change(name, values) may spoil them."""
    folder.mkdir()
    numbers, tensors = random.Random(7), {}
    for name, shape in shapes(hidden, feed_forward, n_layers, vocab):
        values = array.array("f", (numbers.gauss(1 if len(shape) == 1 else 0, 0.05) for _ in range(math.prod(shape))))
        if change:
            change(name, values)
        tensors[name] = (shape, values.tobytes())
    (folder / "config.json").write_text(config(hidden, feed_forward, n_layers, vocab))
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def write_zeros(folder, hidden, feed_forward, n_layers, vocab):
    """The same of zeros, which take no place on the disk."""
    folder.mkdir()
    header, at = {}, 0
    for name, shape in shapes(hidden, feed_forward, n_layers, vocab):
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * math.prod(shape)]}
        at += 4 * math.prod(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "config.json").write_text(config(hidden, feed_forward, n_layers, vocab))
    with (folder / "model.safetensors").open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + at)
    return folder


def f32_tensors(path):
    return {name: array.array("f", data) for name, (_, data) in Gguf(path.read_bytes()).tensors.items()}


def relative_error(values, exact):
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(values, exact)) / sum(b * b for b in exact))


class Convert(CliCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.models = cls.folder / "models"
        subprocess.run([sys.executable, TESTS / "models" / "make_hf_directories.py", TESTS / "data" / "llama", cls.models],
                       check=True)
        cls.whole = write_random(cls.folder / "whole", 256, 512, 1, 97)
        cls.odd = write_random(cls.folder / "odd", 96, 160, 1, 97)
        cls.out = cls.folder / "out"
        cls.out.mkdir()

    def convert(self, model, name, *arguments, **more):
        path = self.out / name
        said = self.pumice("convert", model, "-o", path, *arguments, **more).stderr.decode()
        return path, said

    def assert_nothing_left(self, name):
        self.assertEqual(sorted(p.name for p in self.out.iterdir() if p.name.startswith(name)), [])

    def keys(self, path):
        return {entry["key"]: entry["value"] for entry in self.json("inspect", "--json", path)["metadata"]}

    def types(self, path):
        return {t["name"]: t["type"] for t in self.json("inspect", "--json", path)["tensors"]}

    def train(self, folder, *arguments):
        self.pumice("tokenizer-train", "-v", 97, "-q", "-o", folder / "tokenizer.json", *arguments, TEXT)

    def test_f32_is_the_same_model(self):
        """Every family's directory, in shards, with scaled RoPE, biases and norms: the same log-probabilities, to the bit."""
        text = "All human beings are born free and equal in dignity and rights."
        for folder in sorted(self.models.glob("*.hf")):
            with self.subTest(folder.name):
                self.train(folder, "--type", "wordlevel")
                path, _ = self.convert(folder, f"{folder.name}.gguf", "--type", "F32")
                scores = [self.json("score", "--model", model, "--json", "-d", "reference", text) for model in (folder, path)]
                self.assertEqual(scores[0]["tokens"], scores[1]["tokens"])
                self.assertGreater(scores[0]["n_tokens"], 5)

    def test_types(self):
        """Which tensors get the type, and how much of their values it keeps."""
        exact = {folder: f32_tensors(self.convert(folder, f"{folder.name}-exact.gguf", "--type", "F32")[0])
                 for folder in (self.whole, self.odd)}
        for wanted, (bound, smaller) in TYPES.items():
            for folder, got in ((self.whole, wanted), (self.odd, smaller)):
                with self.subTest(type=wanted, model=folder.name):
                    path, said = self.convert(folder, "typed.gguf", "--type", wanted)
                    types = self.types(path)
                    output = "Q6_K" if wanted[0] == "Q" and wanted != "Q8_0" else wanted
                    output = "Q8_0" if output == "Q6_K" and folder == self.odd else output
                    self.assertEqual(types["output.weight"], output)
                    self.assertEqual({types[n] for n in types if "norm" in n}, {"F32"})
                    self.assertEqual({types[n] for n in types if "norm" not in n and n != "output.weight"}, {got})
                    self.assertIn(f" {got}", said)
                    back, said = self.convert(path, "back.gguf", "--type", "F32")
                    self.assertNotIn("warning", said)
                    for name, values in f32_tensors(back).items():
                        error = relative_error(values, exact[folder][name])
                        self.assertLessEqual(error, bound, name)

    def test_from_gguf_is_the_same(self):
        """By way of a GGUF file comes out what comes from the directory at once; and the keys stay."""
        self.train(self.whole, "--type", "wordlevel")
        f32, _ = self.convert(self.whole, "way.gguf")
        direct, _ = self.convert(self.whole, "direct.gguf", "--type", "Q4_K")
        second, said = self.convert(f32, "second.gguf", "--type", "Q4_K", "-t", 3)
        self.assertNotIn("warning", said)
        keys = [self.keys(p) for p in (direct, second)]
        self.assertEqual(keys[0], keys[1])
        self.assertEqual(keys[0]["general.file_type"], 14)
        self.assertEqual(keys[0]["general.quantization_version"], 2)
        values = [f32_tensors(self.convert(p, "values.gguf", "--type", "F32")[0]) for p in (direct, second)]
        self.assertEqual(values[0], values[1])
        _, said = self.convert(second, "again.gguf", "--type", "Q5_0")
        self.assertIn("8 tensors were quantised before", said)
        self.assertNotIn("tokenizer", said)

    def test_in_place(self):
        path, _ = self.convert(self.odd, "place.gguf")
        self.convert(path, "place.gguf", "--type", "Q8_0")
        self.assertEqual(self.types(path)["output.weight"], "Q8_0")

    def test_tokenizers(self):
        """Each kind that GGUF has gives the same tokens; what it does not have goes along whole, with a warning."""
        source = write_random(self.folder / "tokenized", 32, 64, 1, 2000)
        settings = self.folder / "settings.json"
        settings.write_text(json.dumps(LIKE_LLAMA_2))
        for name, model, arguments in (
                ("bytes", "gpt2 gpt-2", ["--type", "bpe"]),
                ("numbers", "gpt2 qwen2", ["--type", "bpe", "--pattern", "qwen2"]),
                ("characters", "llama", ["--type", "bpe", "--byte-fallback", "--alphabet-limit", 300, "--settings", settings]),
                ("pieces", "t5", ["--type", "unigram", "--alphabet-limit", 300, "--settings", settings]),
                ("words", "bert", ["--type", "wordpiece", "--lowercase", "--alphabet-limit", 300]),
                ("lines", "none", ["--type", "wordlevel"])):
            with self.subTest(name):
                self.pumice("tokenizer-train", "-q", "-v", 2000, "-o", source / "tokenizer.json", *arguments, TEXT)
                path, said = self.convert(source, f"{name}.gguf")
                self.assertIn(f"tokenizer {model},", said)
                keys = self.keys(path)
                self.assertEqual(keys["tokenizer.ggml.model"], model.split()[0])
                self.assertEqual("warning" in said, name == "lines", said)
                self.assertEqual("tokenizer.huggingface.json" in keys, name in ("lines", "pieces"))  # its scores are no floats
                for flags in ([], ["--special"]):
                    ids = [self.pumice("tokenize", "--model", m, "--ids", *flags, "--file", TEXT).stdout for m in (source, path)]
                    self.assertEqual(ids[0], ids[1])
                    self.assertGreater(len(ids[0].split()), 1000)

    def test_names_that_gguf_does_not_have(self):
        """A pattern of one's own: the tokenizer.json is put in, and read first."""
        folder = write_random(self.folder / "own", 96, 160, 1, 600)
        self.pumice("tokenizer-train", "-q", "-v", 600, "--pattern", r"\p{L}{1,5}|[^\p{L}]", "-o", folder / "tokenizer.json", TEXT)
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages[0]['content'] }}"}))
        path, said = self.convert(folder, "own.gguf")
        self.assertIn("other programs may tokenize otherwise", said)
        self.assertTrue("tokenizer.huggingface.json" in self.keys(path))
        ids = [self.pumice("tokenize", "--model", m, "--ids", "--file", TEXT).stdout for m in (folder, path)]
        self.assertEqual(ids[0], ids[1])

    def test_ends_of_answers(self):
        """generation_config.json lists tokens that end an answer; GGUF has no key for more than two."""
        folder = write_random(self.folder / "ends", 96, 160, 1, 600)
        self.pumice("tokenizer-train", "-q", "-v", 600, "-o", folder / "tokenizer.json", TEXT)
        run = lambda m: self.pumice("run", "--model", m, "--raw", "-p", "The", "-n", 8, "-d", "cpu", "--temp", 0).stdout
        self.assertGreater(len(run(folder).strip()), 0)
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(600))}))
        self.assertEqual(run(folder).strip(), b"")
        path, _ = self.convert(folder, "ends.gguf")
        self.assertEqual(run(path).strip(), b"")
        self.assertIn("tokenizer.huggingface.eos_token_ids", self.keys(path))

    def test_rows_without_tokens(self):
        """The file has a token for each row: those that the tokenizer does not have are made up."""
        folder = write_random(self.folder / "padded", 96, 160, 1, 640)
        self.pumice("tokenizer-train", "-q", "-v", 600, "-o", folder / "tokenizer.json", TEXT)
        path, said = self.convert(folder, "padded.gguf")
        self.assertIn("640 tokens", said)
        self.assertIn("[PAD639]", path.read_bytes().decode("latin-1"))
        folder = write_random(self.folder / "cut", 96, 160, 1, 590)
        self.pumice("tokenizer-train", "-q", "-v", 600, "-o", folder / "tokenizer.json", TEXT)
        _, said = self.convert(folder, "cut.gguf")
        self.assertIn("10 tokens that the model has no embeddings for", said)

    def test_without_a_tokenizer(self):
        path, said = self.convert(self.odd, "dumb.gguf")
        self.assertIn("there is no tokenizer", said)
        self.assertIn("tokenizer", self.pumice("run", "--model", path, "-d", "cpu", "a", status=FAILURE).stderr.decode())

    def test_a_gguf_file_of_another_kind(self):
        self.need_stories()
        path, _ = self.convert(STORIES, "stories.gguf", "--type", "Q8_0")
        texts = [self.pumice("run", "--model", m, "--raw", "-p", "Once upon a time", "-n", 12, "-d", "cpu", "--temp", 0).stdout
                 for m in (STORIES, path)]
        self.assertEqual(texts[0], texts[1])

    def test_bad_values(self):
        def spoil(value):
            def change(name, values):
                if name.endswith("up_proj.weight"):
                    values[len(values) // 2] = value
            return change
        for name, value, wanted, says in (("nan", math.nan, "Q8_0", "no numbers"), ("infinite", -math.inf, "BF16", "infinite"),
                                          ("large", 1e6, "F16", "beyond the range of F16")):
            with self.subTest(name):
                folder = write_random(self.folder / name, 96, 160, 1, 97, spoil(value))
                _, said = self.convert(folder, f"{name}.gguf", "--type", wanted, status=FAILURE)
                self.assertIn(says, said)
                self.assertIn("blk.0.ffn_up.weight", said)
                self.assert_nothing_left(name)
        self.convert(self.folder / "large", "fits.gguf", "--type", "BF16")

    def test_damaged(self):
        for name, file, change, says in (
                ("no config", "config.json", None, "no config.json"),
                ("no weights", "model.safetensors", None, "no weights"),
                ("cut", "model.safetensors", lambda data: data[:-1], "bytes of data"),
                ("not json", "config.json", lambda data: data[:-1], "malformed JSON"),
                ("type", "config.json", lambda data: data.replace(b"llama", b"abacus"), "model_type 'abacus'"),
                ("tokens", "tokenizer.json", lambda _: b'{"model": {"type": "BPE"}}', "no vocabulary"),
                ("no tokens", "tokenizer.json", lambda _: b"", "no tokenizer")):
            with self.subTest(name):
                folder = self.folder / f"damaged {name}"
                folder.mkdir()
                for kept in ("config.json", "model.safetensors"):
                    (folder / kept).write_bytes((self.odd / kept).read_bytes())
                if change:
                    whole = (folder / file).read_bytes() if (folder / file).exists() else b""
                    (folder / file).write_bytes(change(whole))
                else:
                    (folder / file).unlink()
                _, said = self.convert(folder, "damaged.gguf", status=FAILURE)
                self.assertIn(says, said)
                self.assert_nothing_left("damaged")

    def test_places_that_cannot_be_written(self):
        _, said = self.convert(self.odd, "no/such/folder.gguf", status=FAILURE)
        self.assertIn("cannot be created", said)
        (self.out / "occupied.gguf").mkdir()
        _, said = self.convert(self.odd, "occupied.gguf", status=FAILURE)
        self.assertIn("there is a directory of that name", said)
        self.assertEqual([p.name for p in self.out.glob("occupied*")], ["occupied.gguf"])

    def test_devices_are_not_replaced(self):
        """A pipe stands for /dev/full and its like, which the test must not risk where it runs as root."""
        os.mkfifo(self.out / "pipe.gguf")
        _, said = self.convert(self.odd, "pipe.gguf", status=FAILURE)
        self.assertIn("something other than a file", said)
        self.assertEqual([p.is_fifo() for p in self.out.glob("pipe*")], [True])

    def test_full_disk(self):
        limit = [resource.RLIMIT_FSIZE, (4096, 4096)]
        result = self.pumice("convert", self.odd, "-o", self.out / "full.gguf", status=FAILURE, preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(*limit)))
        self.assertIn(b"writing failed", result.stderr)
        self.assert_nothing_left("full")

    def test_what_is_replaced_stays_until_the_new_one_is_whole(self):
        (self.out / "old.gguf").write_text("old")
        damaged = self.folder / "damaged-old"
        shutil.copytree(self.odd, damaged)
        next(damaged.glob("*.safetensors")).write_bytes(b"no")
        self.convert(damaged, "old.gguf", status=FAILURE)
        self.assertEqual((self.out / "old.gguf").read_text(), "old")

    def test_usage(self):
        self.assertIn("which model?", self.pumice("convert", "-o", "x.gguf", status=USAGE).stderr.decode())
        self.assertIn("where to?", self.pumice("convert", self.odd, status=USAGE).stderr.decode())
        self.assertIn("Q4_K", self.pumice("convert", self.odd, "-o", "x", "--type", "Q3", status=USAGE).stderr.decode())

    def test_interrupted(self):
        """Ctrl-C in the middle: nothing is left, neither the file nor a part of it."""
        folder = write_zeros(self.folder / "zeros", 2048, 8192, 3, 1000)
        process = self.start("convert", folder, "-o", self.out / "interrupted.gguf", "--type", "Q4_K", "-t", 1)
        end = time.monotonic() + 60
        while not list(self.out.glob("interrupted*")) and time.monotonic() < end:
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, FAILURE, said)
        self.assertIn("interrupted", said)
        self.assert_nothing_left("interrupted")

    def test_progress(self):
        terminal = Terminal(self, "convert", self.whole, "-o", self.out / "bar.gguf", "--type", "F16")
        terminal.wait_for(b"converting [")
        self.assertEqual(terminal.wait_end(), 0)


if __name__ == "__main__":
    unittest.main()
