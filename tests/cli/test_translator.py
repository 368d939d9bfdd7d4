"""The translator of tests/data/translator: a T5 with a tokenizer, which translates sentences that it was not taught."""
import random
import signal
import sys
import unittest
from pathlib import Path

from cli_case import CliCase

TESTS = Path(__file__).resolve().parent.parent
TRANSLATOR = TESTS / "data" / "translator"
PREFIXES = "translate English to German: ", "translate German to English: "
sys.path.insert(0, str(TESTS / "models"))
import translator_grammar as grammar  # noqa: E402


def new_pairs(n):
    """n pairs of sentences that were kept from the model, each once."""
    r, pairs = random.Random(7), {}
    while len(pairs) < n:
        english, german = grammar.sentence(r)
        if grammar.is_kept(english):
            pairs[english] = german
    return list(pairs.items())


class Translator(CliCase):
    def translate(self, texts, way, *options, model=TRANSLATOR):
        text = "\n".join(texts) + "\n"
        return self.pumice("translate", "--model", model, "--prefix", PREFIXES[way], *options, text=text).stdout.decode().splitlines()

    def test_sentences_that_it_was_not_taught(self):
        pairs = new_pairs(100)
        for way in range(2):
            sources, targets = [p[way] for p in pairs], [p[1 - way] for p in pairs]
            for options in ((), ("--beams", 1)):
                self.assertEqual(self.translate(sources, way, *options), targets)

    def test_run_knows_the_shape(self):
        result = self.pumice("run", "--model", TRANSLATOR, PREFIXES[0] + "They love five white cats.")
        self.assertEqual(result.stdout.decode(), "Sie lieben fünf weiße Katzen.\n")
        self.assertRegex(result.stderr, rb"^prompt 22 tokens")

    def test_interrupted(self):
        process = self.start("translate", "--model", TRANSLATOR, "--device", "reference", "--file", TESTS / "data" / "udhr.txt")
        process.stdout.readline()  # it is under way
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=60)[1].splitlines()[-1], b"pumice translate: interrupted")

    def test_converted_and_quantised(self):
        pairs, path = new_pairs(40), self.folder / "translator.gguf"
        self.pumice("convert", TRANSLATOR, "-o", path, "--type", "Q8_0", "--quiet")
        self.assertEqual(self.translate([p[0] for p in pairs], 0, model=path), [p[1] for p in pairs])

    def test_translations_are_the_probable_targets(self):
        """score --source agrees: the right article costs less than the wrong one."""
        def cost(german):
            return -self.json("score", "--json", "--model", TRANSLATOR, "--source", PREFIXES[0] + "I see the old table.",
                              german)["log_prob"]
        self.assertLess(cost("Ich sehe den alten Tisch.") + 3, cost("Ich sehe das alte Tisch."))


if __name__ == "__main__":
    unittest.main()
