#!/usr/bin/env python3
"""Compares tokenizers that pumice trains with those of Hugging Face's trainers on the same texts.

    scripts/setup.sh --peers
    build/peers/bin/python tests/tokenizers/diff_train.py build/release/bin/pumice TEXT... [--vocab 8000]

BPE: the same merges in the same order, the same ids. WordPiece: the same tokens but for ties, which the other side breaks
at random from run to run. WordLevel: the same ids. Unigram: tokens of the texts and likelihood within 1 % of the other
side's, or better. Each file is read by both sides, which must then encode the texts alike, and 1, 2 and 5 threads must give the same
file. Prints the seconds that both sides took; the exit status is 1 where anything differs.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers


def ours(args, folder, kind, *options):
    paths = []
    for threads in (2, 1, 5):
        path = str(folder / f"{kind}-{threads}.json")
        begin = time.perf_counter()
        subprocess.run([args.pumice, "tokenizer-train", "--type", kind, "-v", str(args.vocab), "-t", str(threads), "-q",
                        "-o", path, *options, *args.texts], check=True)
        paths.append((path, time.perf_counter() - begin))
    texts = [pathlib.Path(path).read_bytes() for path, _ in paths]
    if len(set(texts)) != 1:
        print(f"{kind}: the number of threads changes the result")
        sys.exit(1)
    return paths[0]


def theirs(args, tokenizer, trainer):
    begin = time.perf_counter()
    tokenizer.train(args.texts, trainer)
    return json.loads(tokenizer.to_str())["model"], time.perf_counter() - begin


def encodes_alike(args, path):
    """Both sides with our file, on the beginnings of all texts. The other side reads some scores wrong by a unit in the last
    place, which decides ties: both get what it saves."""
    tokenizer = Tokenizer.from_file(path)
    path += ".saved"
    tokenizer.save(path)
    tokenizer.encode_special_tokens = True
    for text in args.texts:
        whole = pathlib.Path(text).read_text("utf-8", "replace")[:300000]
        mine = subprocess.run([args.pumice, "tokenize", "--model", path, "--ids"], input=whole.encode(), stdout=subprocess.PIPE,
                              check=True).stdout.split()
        if list(map(int, mine)) != tokenizer.encode(whole, add_special_tokens=False).ids:
            return False
    return True


def report(name, good, seconds, detail=""):
    print(f"{name}: {'the same' if good else 'DIFFERENT'}{detail}; {seconds[0]:.2f} s, the other side {seconds[1]:.2f} s",
          flush=True)
    return not good


def bpe(args, folder):
    path, seconds = ours(args, folder, "bpe")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    other, other_seconds = theirs(args, tokenizer, trainers.BpeTrainer(
        vocab_size=args.vocab, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    mine = json.loads(pathlib.Path(path).read_text())["model"]
    good = mine["merges"] == other["merges"] and mine["vocab"] == other["vocab"] and encodes_alike(args, path)
    return report("bpe", good, (seconds, other_seconds), f", {len(mine['merges'])} merges")


def bpe_on_characters(args, folder):
    path, seconds = ours(args, folder, "bpe", "--byte-fallback", "--max-token-length", "9")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    other, other_seconds = theirs(args, tokenizer, trainers.BpeTrainer(
        vocab_size=args.vocab, min_frequency=2, show_progress=False, max_token_length=9,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]))
    mine = json.loads(pathlib.Path(path).read_text())["model"]
    good = mine["merges"] == other["merges"] and mine["vocab"] == other["vocab"] and encodes_alike(args, path)
    return report("bpe on characters", good, (seconds, other_seconds), f", {len(mine['merges'])} merges")


def wordpiece(args, folder):
    path, seconds = ours(args, folder, "wordpiece", "--lowercase")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    other, other_seconds = theirs(args, tokenizer, trainers.WordPieceTrainer(
        vocab_size=args.vocab, min_frequency=2, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    mine = json.loads(pathlib.Path(path).read_text())["model"]["vocab"]
    shared = len(set(mine) & set(other["vocab"])) / len(other["vocab"])
    size = len(mine) / len(other["vocab"])
    good = shared > 0.97 and 0.99 < size < 1.01 and encodes_alike(args, path)
    return report("wordpiece", good, (seconds, other_seconds), f", {100 * shared:.2f} % of the tokens shared")


def wordlevel(args, folder):
    path, seconds = ours(args, folder, "wordlevel")
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    other, other_seconds = theirs(args, tokenizer, trainers.WordLevelTrainer(
        vocab_size=args.vocab, show_progress=False, special_tokens=["[UNK]"]))
    mine = json.loads(pathlib.Path(path).read_text())["model"]["vocab"]
    return report("wordlevel", mine == other["vocab"] and encodes_alike(args, path), (seconds, other_seconds))


def likelihood(tokenizer, scores, texts):
    """Tokens, and the log-probability of the best cuts under the model itself, of all lines."""
    n_tokens, score = 0, 0.0
    for text in texts:
        for line in pathlib.Path(text).read_text("utf-8", "replace").splitlines():
            ids = tokenizer.encode(line, add_special_tokens=False).ids
            n_tokens += len(ids)
            score += sum(scores[i] for i in ids)
    return n_tokens, score


def unigram(args, folder):
    path, seconds = ours(args, folder, "unigram", "--alphabet-limit", "1000000")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    other, other_seconds = theirs(args, tokenizer, trainers.UnigramTrainer(
        vocab_size=args.vocab, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>"))
    mine = json.loads(pathlib.Path(path).read_text())["model"]["vocab"]
    results = [likelihood(t, [s if s else -100.0 for _, s in vocab], args.texts)
               for t, vocab in ((Tokenizer.from_file(path), mine), (tokenizer, other["vocab"]))]
    tokens, scores = results[0][0] / results[1][0], results[0][1] / results[1][1]
    good = scores < 1.01 and tokens < 1.01 and encodes_alike(args, path) and math.isfinite(scores)
    return report("unigram", good, (seconds, other_seconds), f" or better: {len(mine)} and {len(other['vocab'])} tokens; "
                  f"tokens of the texts {tokens:.4f}, negative log-likelihood {scores:.4f} of the other side's")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pumice")
    parser.add_argument("texts", nargs="+", metavar="TEXT")
    parser.add_argument("--vocab", type=int, default=8000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        return sum(check(args, folder) for check in (bpe, bpe_on_characters, wordpiece, wordlevel, unigram)) > 0


if __name__ == "__main__":
    sys.exit(main())
