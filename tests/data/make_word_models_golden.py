#!/usr/bin/env python3
"""Makes word_models.golden: what Hugging Face's tokenizers and SentencePiece make of texts with small random models.

    pip install tokenizers sentencepiece        (in a virtual environment)
    python3 tests/data/make_word_models_golden.py > tests/data/word_models.golden

The models are chosen to be hard: few letters, scores with many ties and near ties (where it matters that one side adds
floats and the other doubles), positive scores, letters that are no token, user-defined and unused pieces. Lines:

    model KIND OPTIONS(JSON) UNK
    token KIND SCORE(hexadecimal) BYTES(hexadecimal)         KIND as in pumice/plugin.h
    text BYTES(hexadecimal)
    ids ID ID ...
"""
import random
import struct
import sys

import sentencepiece
import tokenizers
from tokenizers import Tokenizer, models

NORMAL, UNKNOWN, USER_DEFINED, UNUSED, BYTE = 1, 2, 4, 5, 6


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field_bytes(field, b):
    return varint(field << 3 | 2) + varint(len(b)) + b


def field_int(field, n):
    return varint(field << 3) + varint(n & (1 << 64) - 1)


def piece(text, score, kind):
    return field_bytes(1, field_bytes(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) +
                       field_int(3, kind))


def sentencepiece_model(pieces, byte_fallback):
    trainer = field_int(3, 1) + field_int(4, len(pieces)) + field_int(35, int(byte_fallback)) + field_int(40, 0)
    trainer += b"".join(field_int(i, -1) for i in (41, 42, 43))
    normalizer = field_bytes(1, b"identity") + field_int(3, 0) + field_int(4, 0) + field_int(5, 1)
    model = b"".join(piece(*p) for p in pieces) + field_bytes(2, trainer) + field_bytes(3, normalizer)
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model)
    return processor


def to_float(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def random_tokens(rng, alphabet, n, longest, words=False):
    tokens = set(alphabet[:rng.randint(1, len(alphabet))])
    for _ in range(n):
        token = "".join(rng.choice(alphabet) for _ in range(rng.randint(1, longest)))
        tokens.add("▁" * token.startswith("▁") + token.replace("▁", "") if words else token)
    tokens = sorted(tokens)
    rng.shuffle(tokens)
    return tokens


def random_texts(rng, alphabet, others, n):
    return ["".join(rng.choice(alphabet + (others if rng.random() < .2 else ""))
                    for _ in range(rng.choice([1, 3, 7, 40, 300]))) for _ in range(n)]


def random_score(rng, kind, token):
    if kind == 0:
        return -1.1 * len(token) + rng.choice([0, 0, 1e-6, -1e-6])
    if kind == 1:
        return -10 * rng.random()
    if kind == 2:
        return -.1 * rng.randint(1, 40)
    return rng.choice([5., -3., 20., 0.])


def write_model(kind, options, unk, tokens, texts, encode):
    print("model", kind, options, unk)
    for text, score, token_kind in tokens:
        print("token", token_kind, float(score).hex(), text.encode().hex())
    for text in texts:
        print("text", text.encode().hex())
        print("ids", *encode(text))


def unigram(rng, is_sentencepiece):
    alphabet = rng.choice(["ab", "abcd", "abあé", "▁ab", "▁ab", "▁ab", "aあいう😀"])
    how = rng.randrange(4)
    byte_fallback = rng.random() < .4
    kinds = [NORMAL, NORMAL, NORMAL, USER_DEFINED, UNUSED] if is_sentencepiece and rng.random() < .5 else [NORMAL]
    rounded = to_float if is_sentencepiece else float
    tokens = [("<unk>", 0., UNKNOWN)]
    tokens += [(t, rounded(random_score(rng, how, t)), rng.choice(kinds))
               for t in random_tokens(rng, alphabet, rng.choice([8, 20, 50]), 6, rng.random() < .8)]
    if byte_fallback:
        tokens += [(f"<0x{b:02X}>", 0., BYTE) for b in range(256)]
    texts = random_texts(rng, alphabet, "z字", 12)
    if is_sentencepiece:
        encode = sentencepiece_model(tokens, byte_fallback).encode
    else:
        tokenizer = Tokenizer(models.Unigram([(t, s) for t, s, _ in tokens], 0, byte_fallback))
        encode = lambda text: tokenizer.encode(text).ids
    options = f'{{"sentencepiece":{"true" if is_sentencepiece else "false"},' \
              f'"byte_fallback":{"true" if byte_fallback else "false"}}}'
    write_model("Unigram", options, 0, tokens, texts, encode)


def wordpiece(rng):
    alphabet = rng.choice(["ab", "abcd", "abあé", "a#b"])
    prefix = rng.choice(["##", "##", "", "a", "é#"])
    most = rng.choice([100, 100, 5, 1, 1000])
    tokens = ["[UNK]"] + random_tokens(rng, alphabet, 20, 5)
    tokens += [t for t in dict.fromkeys(prefix + t for t in random_tokens(rng, alphabet, 20, 5)) if t not in tokens]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]",
                                           continuing_subword_prefix=prefix, max_input_chars_per_word=most))
    options = f'{{"continuing_subword_prefix":"{prefix}","max_input_chars_per_word":{most}}}'
    write_model("WordPiece", options, 0, [(t, 0, UNKNOWN if i == 0 else NORMAL) for i, t in enumerate(tokens)],
                random_texts(rng, alphabet, "z字", 15), lambda text: tokenizer.encode(text).ids)


def wordlevel(rng):
    tokens = ["[UNK]"] + random_tokens(rng, "ab字", 20, 3)
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]"))
    texts = ["".join(rng.choice("ab字") for _ in range(rng.randint(1, 3))) for _ in range(20)]
    write_model("WordLevel", "{}", 0, [(t, 0, UNKNOWN if i == 0 else NORMAL) for i, t in enumerate(tokens)], texts,
                lambda text: tokenizer.encode(text).ids)


def main():
    rng = random.Random(20)
    print(f"# make_word_models_golden.py: tokenizers {tokenizers.__version__}, sentencepiece "
          f"{sentencepiece.__version__}")
    for _ in range(10):
        unigram(rng, False)
        unigram(rng, True)
    for _ in range(12):
        wordpiece(rng)
    wordlevel(rng)


if __name__ == "__main__":
    sys.exit(main())
