"""The three commands of the README, one for each shape of transformer, as they are written there. Models are where `pumice
pull` keeps them for the user, not in a folder of the test's own."""
import math
import os
import shlex
import unittest
from pathlib import Path

from cli_case import CliCase

ROOT = Path(__file__).resolve().parent.parent.parent


def commands():
    """The arguments of each command below the headline."""
    section = (ROOT / "README.md").read_text().split("### Three shapes, three commands\n")[1]
    block = [line for line in section.strip("\n").split("\n\n")[0].splitlines() if line.strip()]
    return [shlex.split(line, comments=True)[1:] for line in block]


class Readme(CliCase):
    def output(self, arguments):
        home = {k: v for k, v in os.environ.items() if k in ("HOME", "XDG_DATA_HOME")}
        if "XDG_DATA_HOME" not in home:
            home["XDG_DATA_HOME"] = f"{home['HOME']}/.local/share"
        return self.pumice(*arguments, env=home, cwd=ROOT).stdout.decode()

    def test_there_are_three(self):
        self.assertEqual([c[0] for c in commands()], ["run", "embed", "translate"])

    def test_run(self):
        run = commands()[0]
        self.assertGreater(len(self.output(run).split()), 2)  # chosen at random
        exactly = ["--device", "reference", "--temp", "0", "--max-tokens", "40"]
        self.assertEqual(self.output([*run, *exactly]), "The capital of France is Paris.\n")

    def test_embed(self):
        embed = commands()[1]
        vectors = [[float(x) for x in line.split()] for line in self.output(embed).splitlines()]
        self.assertEqual([len(v) for v in vectors], [384] * 2)
        for v in vectors:
            self.assertAlmostEqual(math.hypot(*v), 1, places=5)
        near = self.output([*embed[:3], "A cat is sitting on a mat."]).split()
        near_by, far_away = (sum(float(a) * b for a, b in zip(near, v)) for v in vectors)
        self.assertGreater(near_by, far_away + 0.5)

    def test_translate(self):
        self.assertEqual(self.output(commands()[2]), "Das Haus ist klein.\n")


if __name__ == "__main__":
    unittest.main()
