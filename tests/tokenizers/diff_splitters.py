#!/usr/bin/env python3
"""Compares the scanners of split_patterns.h with Hugging Face `tokenizers` and with `tiktoken`, piece for piece.

    pip install tokenizers tiktoken        (in a virtual environment)
    python3 tests/tokenizers/diff_splitters.py build/release/bin/split_batch [-n 3000] [--seed 1] [FILE...]

Texts: every code point in context, random strings, and the files. A tokenizers Split shows its pieces. tiktoken does
not, so its pieces are proven: it gets a vocabulary of ours as whole tokens and, at the lowest ranks, each pair of
bytes that crosses one of our cuts; where its pieces are ours, it answers with ours, one token each.
Prints the first differences; the exit status is 1 where there is any.
"""
import argparse
import pathlib
import random
import re
import struct
import subprocess
import sys

import tiktoken
from tokenizers import Regex, pre_tokenizers

GAP = 0x80000000
UNICODE = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
SNIPPETS = (["a", "hello", "Z", "HTTP", "Ab", "aB", "é", "É", "Ω", "ж", "ǅ", "ʰ", "世", "中文", "あ", "ア", "・", "한", "𐐀", "𐐨",
             "abcdefghijklmnopqrstuvwxyz", "1", "42", "2024", "٣", "²", "Ⅷ"]
            + [" ", " ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\x85", "\xa0", "\u2003", "\u3000", "\u2028",
               "\u1680", "\x1c", "\u200b", "\ufeff", "\u180e", " " * 20]
            + ["'", "'s", "'S", "'T", "'re", "'rE", "'ve", "'m", "'LL", "'l", "'d", "''", "'ſ", "’", ".", ",", "!?", "$",
               "+", "<|", "|>", "^", "~", "-", "_", "/", "//", "/\n", "=====", "(x)", "。", "！", "€", "🌋", "\u0301", "ि",
               "\u20dd", "\u200d", "\ufe0f", "\x01", "\x7f", "\ufffd"])
CONTEXTS = ["a", "b", " ", "x ", "1", "A", "'", "s'", "r", "'r", "e'l", "\n", " ", "\n", ".", " .", "A", "Ba", "世",
            "\u0301", "", "\t", "12", "  "]


def patterns(header):
    """The expressions in splitter_patterns.h: (name, expression)."""
    def unescape(literal):
        return literal.encode("latin-1").decode("unicode_escape").encode("latin-1")

    for name, literals in re.findall(r'\{"([^"]+)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\}', header):
        yield name, b"".join(unescape(x) for x in re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).decode()


def texts_of(rng, n, files):
    texts = ["".join(rng.choice(SNIPPETS) * rng.choice([1, 1, 1, 1, 1, 1, 1, 5]) for _ in range(rng.randrange(24)))
             for _ in range(n)]
    texts += ["".join(chr(rng.choice(UNICODE)) if rng.randrange(2) else rng.choice(SNIPPETS) for _ in range(12))
              for _ in range(n)]
    return texts + [pathlib.Path(f).read_text(encoding="utf-8", errors="replace") for f in files]


def in_context(code):
    return chr(code) + "".join(context + chr(code) for context in CONTEXTS)


def ours(program, pattern, texts):
    data = b"".join(struct.pack("=I", len(t)) + t for t in texts)
    done = subprocess.run([program, pattern], input=data, stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"{program}: exit status {done.returncode} for {pattern}")
    at = 0
    for _ in texts:
        k, = struct.unpack_from("=I", done.stdout, at)
        yield list(struct.unpack_from(f"={k}I", done.stdout, at + 4))
        at += 4 + 4 * k


class TokenizersSide:
    name = "tokenizers"

    def __init__(self, pattern):
        self.isolated = pre_tokenizers.Split(Regex(pattern), "isolated")
        self.removed = pre_tokenizers.Split(Regex(pattern), "removed")

    def differences(self, texts, pieces):
        for text, ends in zip(texts, pieces):
            cuts = self.isolated.pre_tokenize_str(text)
            gaps = {end for _, (_, end) in self.removed.pre_tokenize_str(text)}
            theirs, at = [], 0
            for piece, (_, end) in cuts:
                at += len(piece.encode())
                theirs.append(at | (GAP if end in gaps else 0))
            if theirs != ends:
                yield text, ends, theirs


class WhitespaceSide:
    """The pre-tokenizer Whitespace, which drops what lies between words."""
    name = "tokenizers"

    def differences(self, texts, pieces):
        whitespace = pre_tokenizers.Whitespace()
        for text, ends in zip(texts, pieces):
            theirs, at, seen = [], 0, 0
            for piece, (begin, end) in whitespace.pre_tokenize_str(text):
                if begin > seen:
                    at += len(text[seen:begin].encode())
                    theirs.append(at | GAP)
                at += len(piece.encode())
                theirs.append(at)
                seen = end
            if seen < len(text):
                theirs.append(len(text.encode()) | GAP)
            if theirs != ends:
                yield text, ends, theirs


class TiktokenSide:
    name = "tiktoken"

    def __init__(self, pattern):
        self.pattern = pattern

    def differences(self, texts, pieces):
        for first in range(0, len(texts), 2000):
            yield from self.chunk(texts[first:first + 2000], pieces[first:first + 2000])

    def chunk(self, texts, pieces):
        crossing, whole = set(), set()
        for text, ends in zip(texts, pieces):
            text = text.encode()
            whole.update(text[a:b] for a, b in zip([0] + ends, ends))
            crossing.update(text[end - 1:end + 1] for end in ends[:-1])
        tokens = [bytes([b]) for b in range(256)] + sorted(crossing) + sorted(whole - crossing)
        ranks = {}
        for token in tokens:
            ranks.setdefault(token, len(ranks))
        encoding = tiktoken.Encoding("proof", pat_str=self.pattern, mergeable_ranks=ranks, special_tokens={})
        spelled = list(ranks)
        for text, ends in zip(texts, pieces):
            at, theirs = 0, []
            for token in encoding.encode_ordinary(text):
                at += len(spelled[token])
                theirs.append(at)
            if theirs != ends:
                yield text, ends, theirs


def sides(name, pattern):
    """tiktoken's own expressions mean in tiktoken what they say; it also drops what does not match."""
    if "tiktoken" not in name:
        yield TokenizersSide(pattern)
    if any(word in name for word in ("gpt2", "tiktoken", "llama3", "qwen", "2023", "o200k", "tekken")):
        yield TiktokenSide(pattern)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="path of split_batch")
    parser.add_argument("files", nargs="*", help="texts")
    parser.add_argument("-n", type=int, default=3000, help="random strings of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=16, help="each how manieth code point is put in context")
    args = parser.parse_intermixed_args()

    rng = random.Random(args.seed)
    texts = texts_of(rng, args.n, args.files)
    texts += [in_context(c) for c in UNICODE if c < 0x250 or (c + args.seed) % args.every == 0]
    failures = 0
    cases = [(name, pattern, list(sides(name, pattern))) for name, pattern in patterns(
        (pathlib.Path(__file__).parent / "splitter_patterns.h").read_text())]
    for name, pattern, judges in cases + [("Whitespace", "Whitespace", [WhitespaceSide()])]:
        pieces = list(ours(args.program, pattern, [t.encode() for t in texts]))
        for side in judges:
            different = 0
            for text, ends, theirs in side.differences(texts, pieces):
                different += 1
                if different <= 3:
                    same = next((i for i, (a, b) in enumerate(zip(ends, theirs)) if a != b), 0)
                    begin = ends[same - 1] & ~GAP if same else 0
                    print(f"{name}: {side.name}: {text.encode()[begin:begin + 60]!r} at {begin}\n"
                          f"  ours {ends[same:same + 5]}, theirs {theirs[same:same + 5]}")
            print(f"{name}: {side.name}: {len(texts)} texts, {different} differences", flush=True)
            failures += different
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
