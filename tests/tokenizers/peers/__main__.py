#!/usr/bin/env python3
"""Compares pumice's tokenizers with the implementations that they come from, token for token.

    scripts/setup.sh --peers
    build/peers/bin/python tests/tokenizers/peers build/release/bin/encode_batch FILE... [--texts FILE|FOLDER...]

FILE is a tokenizer.json (compared with Hugging Face `tokenizers`), a vocab.txt of BERT's, a GGUF file with a vocabulary
(Hugging Face again), a SentencePiece .model (SentencePiece, and Hugging Face too if it is a Unigram) or a .tiktoken file
named as tiktoken names it. Compared are, with special tokens in the text honoured and not: ids, offsets, and what the ids
decode to; then what random ids decode to. The texts: random mixes (-n, --seed) of code points, bytes, pieces of the
vocabulary, added tokens and their look-alikes, scripts, spaces, controls, marks, emoji, digits, signs; every code point
(each --every-th); the strings of Unicode's NormalizationTest and GraphemeBreakTest where they are installed; an article
of the Universal Declaration of Human Rights in 139 languages; --texts.

What is counted and left out, each a fault of the other side:
 - its model makes special tokens and bytes of their names in the text, when special tokens are not to be honoured;
 - its offsets are off where its normaliser takes characters away (in '\\x0fégale' it says that the word begins at 0);
 - its character map (Precompiled) works on grapheme clusters by a later Unicode than ICU's: newer marks join them;
 - its byte-level decoder takes added tokens such as 'û' for spelled-out bytes;
 - it knows characters, not bytes: a token that stands for a part of one is said to stand for all of it, and broken
   characters decode to U+FFFD (of a run of byte tokens, all bytes do if one is bad). Ours are moved outwards before they are compared.
Prints the first differences; the exit status is 1 where there is any.
"""
import argparse
import sys

import compare


def main():
    parser = argparse.ArgumentParser(prog="peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the encode_batch program of a build")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("-n", type=int, default=20000, help="number of random texts for each file (default: 20000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="take each so-many-th code point (default: all)")
    parser.add_argument("--fixed-every", type=int, default=1, metavar="N", help="take each N-th of the code points and of Unicode's strings")
    parser.add_argument("--texts", nargs="*", default=[], metavar="PATH", help="texts, or folders of them")
    parser.add_argument("--plugin", help="name or file of the plugin")
    parser.add_argument("--show", type=int, default=5, help="how many differences to print for each file")
    parser.add_argument("--name", help="what to call the file in what is printed")
    args = parser.parse_args()
    return sum(compare.compare_file(path, args) for path in args.files) > 0


if __name__ == "__main__":
    sys.exit(main())
