"""pull with a network: the default model comes, whole, and is not fetched twice. Slow: a download of 89 MiB."""
import hashlib
import unittest
from pathlib import Path

from cli_case import CliCase

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class Pull(CliCase):
    def test_pull_and_run(self):
        path = Path(self.pumice("pull", env={"LD_PRELOAD": ""}).stdout.decode().strip())
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), SHA256)
        self.assertEqual([p.name for p in path.parent.iterdir()], [path.name])
        again = self.pumice("pull", env={"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": "", "LD_PRELOAD": ""})
        self.assertIn(b"there already", again.stderr)
        answer = self.pumice("run", "--temp", "0", "-n", "32", "What is the capital of France?").stdout
        self.assertIn(b"Paris", answer)


if __name__ == "__main__":
    unittest.main()
