"""Models in directories as Hugging Face keeps them: they run as they are, and what is wrong with one is said."""
import json
import struct
import subprocess
import sys
import unittest
from pathlib import Path

from cli_case import FAILURE, CliCase

TESTS = Path(__file__).resolve().parent.parent


class HfDirectory(CliCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.models = cls.folder / "models"
        subprocess.run([sys.executable, TESTS / "models" / "make_hf_directories.py", TESTS / "data" / "llama", cls.models],
                       check=True)

    def copy(self, name, **changes):
        """A copy of qwen2.hf, small as it is, with other settings in config.json; None takes one away."""
        folder = self.folder / name
        folder.mkdir()
        config = json.loads((self.models / "qwen2.hf" / "config.json").read_text())
        config.update(changes)
        (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
        (folder / "model.safetensors").write_bytes((self.models / "qwen2.hf" / "model.safetensors").read_bytes())
        return folder

    def refused(self, folder, *says):
        said = self.pumice("inspect", folder, status=FAILURE).stderr.decode()
        for text in says:
            self.assertIn(text, said)

    def test_it_runs(self):
        folder = self.models / "llama_linear.hf"  # in three shards
        self.pumice("tokenizer-train", "--type", "wordlevel", "-v", 97, "-o", folder / "tokenizer.json",
                    TESTS / "data" / "udhr.txt")
        text = self.pumice("run", "--model", folder, "--raw", "--prompt", "All human beings", "-n", 5, "-d", "cpu").stdout
        self.assertTrue(text.strip())
        scores = self.json("score", "--model", folder, "--json", "-d", "cpu", "All human beings are born free")
        self.assertEqual(scores["n_tokens"], 6)

    def test_inspect_shows_it_as_gguf(self):
        found = self.json("inspect", "--json", self.models / "qwen3.hf")
        names = {t["name"]: t for t in found["tensors"]}
        self.assertEqual(names["blk.2.attn_q.weight"]["type"], "F32")
        self.assertEqual(names["blk.2.attn_q.weight"]["dims"], [48, 60])
        self.assertNotIn("output.weight", names)

    def test_without_a_tokenizer(self):
        said = self.pumice("run", "--model", self.models / "qwen2.hf", "--raw", "--prompt", "a", "-d", "cpu", status=FAILURE)
        self.assertIn("tokenizer", said.stderr.decode())

    def test_settings_that_do_not_fit(self):
        for name, changes, says in (
                ("type", {"model_type": "mamba"}, ["model_type 'mamba'", "llama, mistral, qwen2, qwen3"]),
                ("no type", {"model_type": None}, ["model_type ''"]),
                ("missing", {"hidden_size": None}, ["'hidden_size' is missing"]),
                ("text", {"hidden_size": "48"}, ["'hidden_size' is not a number"]),
                ("fraction", {"hidden_size": 48.5}, ["not a whole number"]),
                ("negative", {"num_hidden_layers": -1}, ["'num_hidden_layers' is -1"]),
                ("large", {"num_attention_heads": 1e9}, ["num_attention_heads", "is 1e+09"]),
                ("scaling", {"rope_parameters": {"rope_type": "dynamic"}}, ["scaling 'dynamic'"])):
            with self.subTest(name):
                self.refused(self.copy(name, **changes), *says)

    def test_sizes_that_do_not_fit_the_weights(self):
        folder = self.copy("sizes", intermediate_size=71)
        said = self.pumice("run", "--model", folder, "--raw", "--prompt", "a", "-d", "cpu", status=FAILURE).stderr.decode()
        self.assertIn("ffn_gate.weight", said)

    def test_what_is_no_model(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.refused(empty, "no config.json")
        folder = self.copy("no weights")
        (folder / "model.safetensors").unlink()
        self.refused(folder, "no weights")
        (folder / "config.json").write_text("{")
        self.refused(folder, "malformed JSON")
        (folder / "config.json").write_text("[]")
        self.refused(folder, "not a JSON object")

    def test_bad_shards(self):
        folder = self.copy("shards")
        index = folder / "model.safetensors.index.json"
        for text, says in (('{"weight_map": {}}', "no weight_map"), ('{"weight_map": {"a": 1}}', "is in no file"),
                           ('{"weight_map": {"a": "../x"}}', "no name of a file"),
                           ('{"weight_map": {"a": ".x"}}', "no name of a file"),
                           ('{"weight_map": {"a": "x"}}', "cannot be opened"),
                           ('{"weight_map": {"a": "model.safetensors"}}', "tensor 'a' is missing")):
            index.write_text(text)
            self.refused(folder, says)
        index.unlink()
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[:-1])
        self.refused(folder, "bytes of data")
        header = json.dumps({"what.is.this": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
        self.refused(folder, "the family has no tensor of this name", "what.is.this")


if __name__ == "__main__":
    unittest.main()
