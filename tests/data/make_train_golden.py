#!/usr/bin/env python3
"""Writes train_golden.json: what Hugging Face's trainers make of udhr.txt, for tests without that package.

    scripts/setup.sh --peers && build/peers/bin/python tests/data/make_train_golden.py > tests/data/train_golden.json
"""
import hashlib
import json
import pathlib

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXT = str(pathlib.Path(__file__).parent / "udhr.txt")


def digest(value):
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def main():
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.train([TEXT], trainers.BpeTrainer(vocab_size=3000, min_frequency=2, special_tokens=["<|endoftext|>"],
                                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    merges = json.loads(bpe.to_str())["model"]["merges"]
    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train([TEXT], trainers.WordLevelTrainer(vocab_size=1000, special_tokens=["[UNK]"], show_progress=False))
    print(json.dumps({
        "bpe": {"first_merges": merges[:20], "n_merges": len(merges), "merges": digest(merges), "vocab": digest(bpe.get_vocab())},
        "wordlevel": {"vocab": digest(words.get_vocab())},
    }, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
