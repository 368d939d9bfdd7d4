"""inspect and devices: the tables, and their JSON documents."""
import unittest
from pathlib import Path

from cli_case import IN_CI, SHARED, SOFTWARE_VULKAN, STORIES, USAGE, CliCase


class Inspect(CliCase):
    def setUp(self):
        self.need_stories()

    def test_table(self):
        text = self.pumice("inspect", STORIES).stdout.decode()
        for part in ("GGUF version 3", "general.name = stories260K", "llama.block_count = 5",
                     "tokenizer.ggml.tokens (512 x string) = <unk>, <s>, </s>, <0x00>", "48 tensors, 0.2928 million"):
            self.assertIn(part, text)
        self.assertRegex(text, r"(?m)^  F32    64 x 512 +128\.0 KiB +@14176 +token_embd\.weight$")

    def test_json(self):
        document = self.json("inspect", "--json", STORIES)
        self.assertEqual(document["version"], 3)
        self.assertEqual(document["bytes"], STORIES.stat().st_size)
        self.assertEqual(document["n_weights"], 292800)
        metadata = {entry["key"]: entry for entry in document["metadata"]}
        self.assertEqual(metadata["general.name"]["value"], "stories260K")
        self.assertEqual(metadata["llama.embedding_length"]["value"], 64)
        self.assertAlmostEqual(metadata["llama.attention.layer_norm_rms_epsilon"]["value"], 1e-5)
        tokens = metadata["tokenizer.ggml.tokens"]
        self.assertEqual((tokens["count"], len(tokens["value"]), tokens["cut"]), (512, 8, True))
        tensors = {tensor["name"]: tensor for tensor in document["tensors"]}
        self.assertEqual(len(tensors), 48)
        self.assertEqual(tensors["blk.0.ffn_down.weight"],
                         {"name": "blk.0.ffn_down.weight", "type": "F32", "dims": [172, 64], "bytes": 172 * 64 * 4,
                          "offset": 414304})

    def test_full_arrays(self):
        document = self.json("inspect", "--json", "--full", STORIES)
        tokens = [entry for entry in document["metadata"] if entry["key"] == "tokenizer.ggml.tokens"][0]
        self.assertEqual((len(tokens["value"]), tokens["cut"]), (512, False))

    def test_vocabularies_without_tensors(self):
        for path in sorted((SHARED / "tokenizers").glob("*.gguf")):
            with self.subTest(path.name):
                document = self.json("inspect", "--json", "--full", path)
                tokens = [e for e in document["metadata"] if e["key"] == "tokenizer.ggml.tokens"][0]
                self.assertEqual(len(tokens["value"]), tokens["count"])
                self.assertGreater(tokens["count"], 1000)

    def test_explain(self):
        text = self.pumice("inspect", "--explain", "--device", "cpu", "--tokens", "7", STORIES).stdout.decode()
        self.assertIn("plan for 1 token on cpu", text)
        self.assertIn("plan for 7 tokens on cpu", text)
        for op in ("embedding", "matmul", "rms_norm", "attention"):
            self.assertIn(op, text)
        document = self.json("inspect", "--explain", "--json", "--device", "reference", STORIES)
        self.assertEqual([plan["n_tokens"] for plan in document["plans"]], [1, 64])
        self.assertTrue(all(len(plan["lines"]) > 10 for plan in document["plans"]))


class Devices(CliCase):
    def test_json(self):
        devices = self.json("devices", "--json")
        names = [device["name"] for device in devices]
        self.assertIn("cpu", names)
        self.assertIn("reference", names)
        self.assertEqual(len(set(names)), len(names))
        for device in devices:
            with self.subTest(device["name"]):
                self.assertTrue(device["title"])
                self.assertEqual(device["usable"], device["unusable"] is None)
                if device["name"].startswith("vulkan") and device["usable"]:
                    self.assertIn(device["tier"], ("T0", "T1", "T2", "T3"))
                    self.assertGreaterEqual(device["limits"]["max_workgroup_invocations"], 128)
                    self.assertTrue(device["driver"])
                if not device["name"].startswith("vulkan"):
                    self.assertIsNone(device["tier"])
                    self.assertIsNone(device["limits"])

    def test_software_devices_come_after_the_processor(self):
        names = [device["name"] for device in self.json("devices", "--json")]
        vulkan = [name for name in names if name.startswith("vulkan")]
        if not SOFTWARE_VULKAN and not IN_CI:
            self.skipTest("skip: no Vulkan implementation in software on this machine")
        self.assertEqual(len(vulkan), len(SOFTWARE_VULKAN))
        self.assertGreater(names.index(vulkan[0]), names.index("cpu"))

    def test_tuning(self):
        """GPUs, which software devices play here, say where their tuning table is; a damaged file is an empty one."""
        if not SOFTWARE_VULKAN and not IN_CI:
            self.skipTest("skip: no Vulkan implementation in software on this machine")
        self.assertTrue(all(device["tuning"] is None for device in self.json("devices", "--json")))
        env = {"PUMICE_VK_PLAY_GPU": "1"}
        for device in self.json("devices", "--json", env=env):
            if not device["name"].startswith("vulkan"):
                self.assertIsNone(device["tuning"])
                continue
            path = Path(device["tuning"]["file"])
            self.assertTrue(path.is_relative_to(self.env["XDG_CACHE_HOME"]))
            self.assertEqual(device["tuning"]["products"], 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no table" * 99)
            self.addCleanup(path.unlink)
        text = self.pumice("devices", env=env).stdout.decode()
        self.assertEqual(text.count("  tuning    0 products measured, "), len(SOFTWARE_VULKAN))
        self.pumice("inspect", "--tuning", "sometimes", status=USAGE)

    def test_without_vulkan(self):
        names = [d["name"] for d in self.json("devices", "--json", env={"VK_ICD_FILENAMES": "/nonexistent.json"})]
        self.assertEqual(sorted(names), ["cpu", "reference"])

    def test_table(self):
        devices = self.json("devices", "--json")
        text = self.pumice("devices").stdout.decode()
        for device in devices:
            self.assertIn(f"{device['name']}  {device['title']}", text)
        self.assertEqual(text.count("what --device auto takes"), 1)


if __name__ == "__main__":
    unittest.main()
