"""`pumice synth`: files that load, run and are the same for the same seed."""
import filecmp
import unittest

from cli_case import USAGE, FAILURE, CliCase


class Synth(CliCase):
    def write(self, shape, *more):
        path = self.folder / f"{shape}{'-'.join(more)}.gguf"
        if not path.exists():
            self.pumice("synth", "--shape", shape, "-o", path, *more)
        return path

    def test_lists_shapes(self):
        shapes = {s["name"]: s for s in self.json("synth", "--list", "--json")}
        for name in ("smollm2-135m", "tinyllama-1.1b", "llama-1b", "llama-3b", "llama-8b", "qwen2.5-0.5b", "qwen3-0.6b",
                     "gpt2", "bert-base", "t5-small"):
            self.assertIn(name, shapes)
        text = self.pumice("synth", "--list").stdout.decode()
        self.assertEqual(len(text.splitlines()), len(shapes) + 1)

    def test_tensors_have_the_type(self):
        info = self.json("inspect", "--json", self.write("minilm-l6", "--type", "q8_0"))
        tensors = {t["name"]: t for t in info["tensors"]}
        self.assertEqual(tensors["blk.0.ffn_up.weight"]["type"], "Q8_0")
        self.assertEqual(tensors["blk.0.ffn_up.bias"]["type"], "F32")
        self.assertEqual(tensors["position_embd.weight"]["type"], "F32")

    def test_seed(self):
        same, other = self.folder / "same.gguf", self.folder / "other.gguf"
        first = self.write("minilm-l6")
        self.pumice("synth", "--shape", "minilm-l6", "-o", same, "--seed", 1, "--quiet")
        self.pumice("synth", "--shape", "minilm-l6", "-o", other, "--seed", 2, "--quiet")
        self.assertTrue(filecmp.cmp(first, same, shallow=False))
        self.assertFalse(filecmp.cmp(first, other, shallow=False))

    def test_each_architecture_runs(self):
        cpu = ("--device", "cpu")
        for shape in ("smollm2-135m", "gpt2"):
            score = self.json("score", *cpu, "--json", "--model", self.write(shape), "hello")
            self.assertGreater(score["perplexity"], 1000)  # random weights know nothing
        vector = self.pumice("embed", *cpu, "--model", self.write("minilm-l6"), "hello").stdout
        self.assertEqual(len(vector.split()), 384)
        self.pumice("translate", *cpu, "--model", self.write("t5-small"), "hello", "-n", 2)

    def test_mistakes(self):
        out = self.folder / "never.gguf"
        self.assertIn(b"which shape", self.pumice("synth", "-o", out, status=USAGE).stderr)
        self.assertIn(b"where to", self.pumice("synth", "--shape", "gpt2", status=USAGE).stderr)
        self.assertIn(b"Q4_K", self.pumice("synth", "--shape", "gpt2", "--type", "Q9", "-o", out, status=USAGE).stderr)
        self.assertIn(b"the known ones are", self.pumice("synth", "--shape", "gpt9", "-o", out, status=FAILURE).stderr)
        self.assertIn(b"cannot be created", self.pumice("synth", "--shape", "gpt2", "-o", self.folder / "no" / "x.gguf",
                                                        status=FAILURE).stderr)
        self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
