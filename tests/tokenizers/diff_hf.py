#!/usr/bin/env python3
"""Compares pumice with Hugging Face `tokenizers`, token for token, on random strings.

    pip install tokenizers gguf        (in a virtual environment)
    python3 tests/tokenizers/diff_hf.py build/release/bin/encode_batch MODEL.gguf [-n 20000] [--seed 1]

The other side is built from the vocabulary in the model file and the pre-tokenizer definitions that the models were
released with (below). Each string is encoded twice, with special tokens in the text honoured and not honoured, and
decoded again. Prints the first differences; the exit status is 1 where there is any.
"""
import argparse
import random
import struct
import subprocess
import sys
import unicodedata

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DEEPSEEK_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d"
    "\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2"
    "\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"


def split(*patterns):
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]


BYTES_ONLY = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
WITH_GPT2 = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
PRE_TOKENIZERS = {
    "gpt-2": WITH_GPT2,
    "smollm": [pre_tokenizers.Digits(individual_digits=True)] + WITH_GPT2,
    "llama-bpe": split(LLAMA3) + BYTES_ONLY,
    "qwen2": split(LLAMA3.replace("{1,3}", "")) + BYTES_ONLY,
    "deepseek-llm": split("[\r\n]", r"\s?[" + DEEPSEEK_LETTERS + "]+",
                          r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$", CJK,
                          r"\p{N}+") + BYTES_ONLY,
    "deepseek-coder": split("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK)
    + [pre_tokenizers.Digits(individual_digits=True)] + BYTES_ONLY,
    "default": split(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]") + BYTES_ONLY,
}

NORMALIZED = ("qwen2",)  # text is brought to NFC first


def read_vocabulary(path, pre):
    reader = gguf.GGUFReader(path)

    def value(key, default=None):
        field = reader.fields.get("tokenizer.ggml." + key)
        return default if field is None else field.contents()

    tokens = value("tokens")
    return {
        "model": value("model"),
        "pre": pre or value("pre", "default"),
        "tokens": tokens,
        "types": value("token_type", [1] * len(tokens)),
        "scores": value("scores", []),
        "merges": value("merges", []),
    }


def byte_level(v):
    """A byte-level BPE: the merges are those of the file."""
    vocab = {t: i for i, t in enumerate(v["tokens"])}
    merges = [tuple(m.split(" ")) for m in v["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=v["pre"] == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(PRE_TOKENIZERS[v["pre"]])
    if v["pre"] in NORMALIZED:
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def sentence_piece(v):
    """A SentencePiece BPE as Hugging Face converts it: every cut of a piece into two pieces is a merge."""
    vocab = {t: i for i, t in enumerate(v["tokens"])}
    normal = {t for t, kind in zip(v["tokens"], v["types"]) if kind == 1}
    merges = []
    for piece, score, kind in zip(v["tokens"], v["scores"], v["types"]):
        cuts = [(piece[:i], piece[i:]) for i in range(1, len(piece))] if kind == 1 else []
        merges += [(-score, vocab[left], vocab[right], left, right) for left, right in cuts
                   if left in normal and right in normal]
    merges = [(left, right) for _, _, _, left, right in sorted(merges)]
    tokenizer = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return tokenizer


def other_side(v):
    tokenizer = byte_level(v) if v["model"] == "gpt2" else sentence_piece(v)
    for special in (False, True):
        added = [AddedToken(t, normalized=False, special=special) for t, kind in zip(v["tokens"], v["types"])
                 if kind == (3 if special else 4) or (special and kind == 2)]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    return tokenizer


SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\u0085", "\u00a0", "\u1680", "\u2000", "\u2003",
          "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff", "\u180e", "\u2581"]
MARKS = ["\u0301", "\u0323", "\u200d", "\u200c", "\ufe0f", "\u20e3", "\u202e", "\u0e31", "\u093f", "\u3099", "\u0345"]
EMOJI = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
         "\U0001f636\u200d\U0001f32b\ufe0f", "1\ufe0f\u20e3", "\U0001f999"]
CONTRACTIONS = ["'s", "'S", "'ll", "'Ll", "'re", "'VE", "'d", "'m", "'t", "''", "\u2019s", "'\u017f", "'x", "'l"]
SCRIPTS = [(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0xe00), (0xe00, 0x1000), (0x10a0, 0x1400),
           (0x1e00, 0x2000), (0x2000, 0x2c00), (0x3000, 0x3200), (0x4e00, 0x4f00), (0xac00, 0xad00), (0xf900, 0x10000),
           (0x10000, 0x10500), (0x1d400, 0x1d800), (0x1f300, 0x1fb00), (0x20000, 0x20100), (0xe0000, 0xe0080)]


def character(c):
    """The character, but for surrogates and for code points that a newer Unicode has assigned than this Python's (and
    perhaps ICU's): there both sides are right by their own version. Planes 4 to 13 are unassigned in all versions."""
    assigned = unicodedata.category(chr(c)) not in ("Cn", "Cs")
    return chr(c) if assigned or 0x40000 <= c < 0xe0000 or c & 0xfffe == 0xfffe else ""


def random_piece(rng, v):
    kind = rng.randrange(14)
    if kind == 0:
        return character(rng.choice([rng.randrange(0x110000), rng.randrange(0x3000), rng.randrange(0x250)]))
    if kind == 1:
        low, high = rng.choice(SCRIPTS)
        return "".join(character(rng.randrange(low, high)) for _ in range(rng.randint(1, 6)))
    if kind == 2:
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3, 7])
    if kind == 3:
        return bytes(rng.randrange(256) for _ in range(rng.randint(1, 6))).decode("utf-8", "replace")
    if kind == 4:
        return rng.choice(EMOJI + MARKS)
    if kind == 5:
        return rng.choice(CONTRACTIONS)
    if kind == 6:
        return "".join(rng.choice("0123456789\u0661\u00b2\u2167\u0967\uff13") for _ in range(rng.randint(1, 7)))
    if kind == 7:
        token = rng.choice(v["added"])
        return rng.choice([token, token[:-1], token[1:], token + token[:3]])
    if kind == 8:
        return chr(rng.choice([rng.randrange(0x20), rng.randrange(0x7f, 0xa0)]))
    if kind == 9:
        return rng.choice("!-/:;<=>?@[]^_`{|}~$%&*().,\"#") * rng.choice([1, 1, 2, 3, 20])
    if kind == 10:
        return rng.choice(["the", " of", "Hello", "World", " straße", "naïve", "función", "def __init__(self):", "\n    "])
    token = v["tokens"][rng.randrange(len(v["tokens"]))]
    return token.replace("\u0120", " ").replace("\u010a", "\n").replace("\u2581", " ")


def bytes_without_token(v):
    """Bytes that a byte-level vocabulary has no token for: both sides leave them out of the ids, and so of the text."""
    tokens = {t for t, kind in zip(v["tokens"], v["types"]) if kind == 1}
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    spelled = {b: chr(b) for b in plain}
    spelled.update({b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in plain)})
    return bytes(b for b in range(256) if spelled[b] not in tokens)


def ours(program, path, plugin, texts, special):
    command = [program, path, "--decode"] + (["--plugin", plugin] if plugin else []) + (["--special"] if special else [])
    request = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    reply = subprocess.run(command, input=request, stdout=subprocess.PIPE, check=True).stdout
    at, results = 0, []
    for _ in texts:
        n, = struct.unpack_from("<I", reply, at)
        ids = list(struct.unpack_from(f"<{n}i", reply, at + 4))
        at += 4 + 4 * n
        size, = struct.unpack_from("<I", reply, at)
        results.append((ids, reply[at + 4:at + 4 + size]))
        at += 4 + size
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the encode_batch program of a build")
    parser.add_argument("model", help="a GGUF file with a vocabulary")
    parser.add_argument("-n", type=int, default=20000, help="number of strings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plugin", help="name or file of the plugin")
    parser.add_argument("--pre", help="take the file's pre-tokenizer for this one, on the other side")
    args = parser.parse_args()

    v = read_vocabulary(args.model, args.pre)
    v["added"] = [t for t, kind in zip(v["tokens"], v["types"]) if kind in (2, 3, 4)] or ["<|endoftext|>"]
    rng = random.Random(args.seed)
    texts = ["".join(random_piece(rng, v) for _ in range(rng.randint(0, 24))) for _ in range(args.n)]
    other = other_side(v)
    failures = 0
    lossless = v["model"] == "gpt2"
    lost = bytes_without_token(v) if lossless else b""
    for special in (False, True):
        other.encode_special_tokens = not special
        theirs = other.encode_batch(texts, add_special_tokens=False)
        for text, reply, encoding in zip(texts, ours(args.program, args.model, args.plugin,
                                                     [t.encode() for t in texts], special), theirs):
            ids, back = reply
            kept = unicodedata.normalize("NFC", text) if v["pre"] in NORMALIZED else text
            expected = (kept if lossless else kept.replace("\u2581", " ")).encode().translate(None, lost)
            # After an added token SentencePiece's vocabularies start anew with a space, which decoding keeps on both sides.
            decodes = not special and (lossless or not any(v["types"][i] == 4 for i in ids))
            wrong_back = decodes and back != expected
            if ids != encoding.ids or wrong_back:
                failures += 1
                if failures <= 5:
                    print(f"{'decoding' if wrong_back else 'special' if special else 'plain'}: {text!r}")
                    first = next((i for i, (a, b) in enumerate(zip(ids, encoding.ids)) if a != b), 0)
                    for name, side in (("ours:  ", ids), ("theirs:", encoding.ids)):
                        print(f"  {name} from id {first}: {[(i, v['tokens'][i]) for i in side[first:first + 8]]}")
                    print(f"  back:   {back!r}")
    print(f"{args.model.rsplit('/', 1)[-1]} ({v['pre']}): {2 * len(texts)} comparisons, {failures} differences"
          + (f"; {len(lost)} bytes have no token: {lost.hex(' ')}" if lost else ""))
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
