"""`pumice bench`: the document's form, what happens when it is interrupted, reports, wrong usage."""
import json
import re
import signal
import unittest
from html.parser import HTMLParser
from pathlib import Path

from cli_case import FAILURE, OK, USAGE, CliCase

RESULTS = Path(__file__).parents[2] / "bench" / "results"
SHORT = ("--quick", "--prompts", "8,40", "--depths", "0,48", "-n", "8", "-r", "2")


class Page(HTMLParser):
    """What a report holds: tags, text, and everything that would be fetched from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
        if tag not in ("meta", "br", "path", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append(data)


class Bench(CliCase):
    def bench(self, *arguments, status=OK):
        return json.loads(self.pumice("bench", *arguments, "--json", status=status).stdout)

    def check_device(self, device, rates, ops):
        for key in ("name", "title", "driver", "kind", "ceilings", "rates", "skipped", "start", "verify", "memory"):
            self.assertIn(key, device)
        for key in ("read_bytes_per_s", "copy_bytes_per_s", "f32_flops_per_s"):
            self.assertGreater(device["ceilings"][key], 1e8)
        self.assertEqual([r["name"] for r in device["rates"]], rates)
        for rate in device["rates"]:
            self.assertGreater(rate["tokens_per_s"], 0)
            self.assertLessEqual(min(rate["samples"]), rate["tokens_per_s"])
            self.assertGreaterEqual(max(rate["samples"]), rate["tokens_per_s"])
        warm = device["start"]["warm"]
        parts = sum(warm[k] for k in ("open_device_s", "load_model_s", "compile_s", "first_pass_s"))
        self.assertAlmostEqual(parts, warm["total_s"], places=3)
        self.assertGreater(warm["memory"]["host_peak_bytes"], 1 << 20)
        self.assertFalse(device["verify"]["wrong"])
        self.assertLess(device["verify"]["nmse"], 1e-2)
        self.assertLessEqual(device["verify"]["nmse"], device["verify"]["worst_row_nmse"])
        exact = device["kind"] in ("software GPU", "reference")
        self.assertEqual(device["verify"]["wrong_above_nmse"], 1e-4 if exact else 1e-2)
        self.assertEqual([o["name"] for o in device["ops"]], ops)
        for profile in device["ops"]:
            self.assertTrue(any(row["op"] == "matmul" for row in profile["rows"]))
            self.assertLessEqual(sum(row["seconds"] for row in profile["rows"]), 1.1 * profile["seconds"])

    def test_decoder(self):
        document = self.bench("--shape", "smollm2-135m", "-d", "cpu", "--ops", "--batches", "1,4", *SHORT)
        self.assertEqual(document["schema"], 2)
        for key in ("pumice", "date", "build", "machine", "model", "settings", "reference"):
            self.assertIn(key, document)
        self.assertEqual(document["model"]["architecture"], "llama")
        self.assertEqual(document["model"]["type"], "Q4_0")
        self.check_device(document["devices"][0], ["pp8", "pp40", "tg8", "tg8@48", "tg8x4"], ["pp40", "tg@5"])
        for rate in document["devices"][0]["rates"]:
            self.assertEqual(len(rate["samples"]), 2)
            self.assertGreater(rate["limit_tokens_per_s"], 0)

    def test_encoder(self):
        document = self.bench("--shape", "minilm-l6", "--type", "Q8_0", "-d", "cpu", "--ops", "--batches", "1,4", *SHORT)
        self.check_device(document["devices"][0], ["enc8", "enc40", "enc8x4"], ["enc40"])

    def test_encoder_decoder(self):
        document = self.bench("--shape", "t5-small", "-d", "cpu", "--ops", *SHORT)
        self.check_device(document["devices"][0], ["enc8", "enc40", "tg8"], ["enc40", "tg"])

    def test_directory(self):
        model = Path(__file__).parents[1] / "data" / "translator"
        document = self.bench("--model", model, "-d", "cpu", *SHORT)
        weights = (model / "model.safetensors").stat().st_size
        self.assertAlmostEqual(document["model"]["file_bytes"] / weights, 1, places=1)

    def test_vulkan(self):
        devices = [d for d in self.usable_devices() if d.startswith("vulkan")]
        if not devices:
            self.skipTest("skip: no Vulkan device")
        document = self.bench("--shape", "minilm-l6", "-p", "8", "-b", "1", "-r", "1", "--budget", "20",
                              *(f"--device={d}" for d in devices))
        self.assertEqual([d["name"] for d in document["devices"]], devices)
        for device in document["devices"]:
            self.check_device(device, ["enc8"], ["enc8"])
            self.assertIn("total_s", device["start"]["cold"])
            self.assertGreater(device["limits"]["max_workgroup_invocations"], 0)

    def test_what_a_model_cannot_do_is_named(self):
        device = self.bench("--shape", "minilm-l6", "-d", "cpu", "--quick", "-p", "8,4096")["devices"][0]
        self.assertEqual([s["name"] for s in device["skipped"]], ["enc4096"])
        self.assertIn("512", device["skipped"][0]["why"])

    def test_table(self):
        out = self.folder / "table.json"
        text = self.pumice("bench", "--shape", "minilm-l6", "-d", "cpu", "--quick", "--ops", "-o", out).stdout.decode()
        for word in ("ceilings", "enc64", "first token", "memory", "reference", "times as fast", "ops of"):
            self.assertIn(word, text)
        self.assertNotIn("WRONG", text)
        self.assertEqual(json.loads(out.read_text())["devices"][0]["name"], "cpu")

    def test_what_cannot_end_well_is_said_at_once(self):
        for arguments, said in ((("-d", "cpu", "-d", "vulkan:99"), b"no Vulkan device 'vulkan:99'; there are: cpu"),
                                (("-d", "toaster"), b"no device 'toaster'"),
                                (("-d", "cpu", "-o", self.folder / "none" / "x.json"), b"cannot be written: No such file")):
            with self.subTest(arguments):
                result = self.pumice("bench", "--shape", "minilm-l6", "--quick", *arguments, status=FAILURE)
                self.assertIn(said, result.stderr)
                self.assertNotIn(b"logits", result.stderr) # nothing was measured
                self.assertEqual(result.stdout, b"")

    def test_time_limit(self):
        document = self.bench("--shape", "smollm2-360m", "-d", "reference", "-p", "64", "-r", "1", "--no-cold", "--verify",
                              "0", "--limit", "2", "--budget", "0", status=FAILURE)
        self.assertIn("time limit", document["devices"][0]["error"])

    def test_interrupted(self):
        process = self.start("bench", "--shape", "smollm2-135m", "-d", "cpu", "-d", "reference", "-r", "100", "--budget",
                             "0", "--no-cold", "--prompts", "8", "--depths", "0", "-n", "4", "--json")
        for line in process.stderr:
            if b"tg4, 2 of" in line:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, FAILURE)
        self.assertIn(b"interrupted", err)
        document = json.loads(out)
        self.assertTrue(document["stopped"])
        self.assertEqual(len(document["devices"]), 1)
        device = document["devices"][0]
        self.assertTrue(device["stopped"])
        self.assertNotIn("error", device)
        self.assertIn("pp8", [r["name"] for r in device["rates"]])

    def test_mistakes(self):
        for arguments, said in ((("--prompts", "64,"), "ascending numbers"), (("--prompts", "512,64"), "ascending numbers"),
                                (("--prompts", "0"), "ascending numbers"), (("--depths", "-1"), "ascending numbers"),
                                (("--batches", "1,2,3,4,5,6,7,8,9"), "up to 8"), (("--type", "Q4_0"), "goes with --shape"),
                                (("--shape", "gpt2", "--type", "Q9"), "no weight type"),
                                (("--shape", "gpt2", "--model", "x"), "exclude"), (("x.json",), "unexpected argument"),
                                (("--report",), "which?"), (("--report", "x.json"), "--output"),
                                (("--report", "--tokenizers", "x"), "exclude"), (("--repeats", "0"), "from 1")):
            with self.subTest(arguments):
                self.assertIn(said, self.pumice("bench", *arguments, status=USAGE).stderr.decode())
        self.assertIn(b"smollm2-135m", self.pumice("bench", "--shape", "none", status=FAILURE).stderr)
        self.assertIn(b"No such file", self.pumice("bench", "--model", "/none.gguf", status=FAILURE).stderr)
        self.assertIn(b"'pumice pull gemma-3-270m'", self.pumice("bench", "--model", "Gemma-3-270m", status=FAILURE).stderr)


class Report(CliCase):
    def page(self, *files):
        out = self.folder / "report.html"
        self.pumice("bench", "--report", *files, "-o", out)
        text = out.read_text(encoding="utf-8")
        page = Page(text)
        self.assertEqual(page.open, [], "unclosed tags")
        self.assertEqual(page.links, [])
        self.assertIsNone(re.search(r"https?:|@import|url\(|<script", text))
        self.assertIn("prefers-color-scheme:dark", text)
        self.assertNotIn("nan", re.sub(r"[a-z]*nan[a-z]+", "", text.lower()))
        return page, text

    def results(self):
        files = sorted(RESULTS.glob("*.json")) # one is of tokenizers, and left out
        self.assertGreaterEqual(len(files), 3)
        return files

    def test_all_results(self):
        files = self.results()
        page, text = self.page(*files)
        words = " ".join(page.text)
        n_devices = 0
        for file in files:
            for device in json.loads(file.read_text()).get("devices", []):
                n_devices += 1
                for rate in device["rates"]:
                    self.assertIn(rate["name"], words)
        self.assertEqual(text.count('aria-label="Roofline"'), n_devices)
        self.assertGreater(page.tags.count("svg"), n_devices)

    def damaged(self, change):
        document = json.loads(next(f for f in self.results() if "devices" in json.loads(f.read_text())).read_text())
        change(document)
        path = self.folder / "changed.json"
        path.write_text(json.dumps(document))
        return path

    def test_a_wrong_device_is_marked(self):
        def change(document):
            document["devices"][0]["verify"]["wrong"] = True
            document["devices"][0]["title"] = "<b>Fast & wrong"
        page, text = self.page(self.damaged(change))
        self.assertIn("WRONG RESULTS", "".join(page.text))
        self.assertIn("&lt;b&gt;Fast &amp; wrong", text)
        self.assertNotIn("b", page.tags)

    def test_what_is_missing_or_of_another_kind(self):
        def strip(document):
            document["devices"] = [{"name": "vulkan:0", "error": "it broke", "rates": "none", "ops": [7], "start": None}, 5]
            del document["model"], document["machine"]
        page, _ = self.page(self.damaged(strip))
        self.assertIn("it broke", "".join(page.text))

    def test_other_files_are_refused(self):
        out = self.folder / "never.html"
        other = self.folder / "other.json"
        other.write_text("[1, 2]")
        old = self.damaged(lambda document: document.pop("schema"))
        for file, said in ((other, "there are no devices"), (old, "version 0"), (self.folder / "none.json", "none.json"),
                           (Path(__file__), "test_bench.py")):
            self.assertIn(said, self.pumice("bench", "--report", file, "-o", out, status=FAILURE).stderr.decode())
        self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main()
