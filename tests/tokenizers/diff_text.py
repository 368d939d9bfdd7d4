#!/usr/bin/env python3
"""Compares the normalisers and decoders of tokenizers/parts with Hugging Face `tokenizers`, byte for byte.

    pip install tokenizers sentencepiece        (in a virtual environment)
    python3 tests/tokenizers/diff_text.py build/release/bin/text_batch [-n 2000] [--seed 1] [--every 1] [--only NAME]

Normalisers: the text, and what of the original each character of it stands for. Texts: NormalizationTest.txt and
GraphemeBreakTest.txt where Unicode's data lie in /usr/share/unicode, every code point (each --every-th) between
others, and random mixes. The kind SentencePiece, which is ours, is compared with that library instead.
Decoders: random lists of tokens. Prints the first differences; the exit status is 1 where there is any.
"""
import argparse
import base64
import bz2
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

import sentencepiece
from tokenizers import PreTokenizedString, Regex, Tokenizer, pre_tokenizers

UNICODE = [c for c in range(0x110000) if not 0xd800 <= c < 0xe000]
DATA = pathlib.Path("/usr/share/unicode")
CHARACTERS = pre_tokenizers.Split(Regex(r"(?m:.)"), "isolated")
BLOCK = 48

SNIPPETS = (["a", "b", "Hello", "ABC", "don't", " ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\x00", "\x01", "\x7f", "\x85", "\xa0",
             "\u1680", "\u2003", "\u2028", "\u2029", "\u200b", "\u200e", "\u3000", "\u2581", "\ufeff", "\ufffd", "\x8f", "\x9f", "\xad",
             "ab", "aa", "aaa", "<unk>", "."]
            + ["é", "e\u0301", "\u0301", "\u0323", "\u0327", "\u0345", "\u0334", "o\u0323\u0302", "\u1e69", "\u212b", "\u2126", "ﬁ",
               "①", "㍿", "ﷺ", "½", "²", "ＡＢＣ", "ｶﾞ", "か\u3099", "가", "ᄀ", "ᅡ", "ᆨ", "각", "각ᆨ", "İ", "ı", "Σ", "ς", "ΑΣ", "ẞ",
               "ǅ", "ŉ", "ΐ", "Ꭰ", "ꭰ", "Ა", "中", "文", "\U00020000", "\U0002f800", "\uf900", "\U0002b820", "\U0002ceb0", "あ",
               "ア", "\u0f71\u0f72\u0f74", "\u0344", "\u0958", "\u0915\u093c", "\u093f", "क्ष", "\u0dd9\u0dcf\u0dca", "ไทย", "\u0e33",
               "\U0001d15e", "\U0001d165", "\u2adc", "\U0001f1e9\U0001f1ea", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
               "1\ufe0f\u20e3", "\u200d", "\ufe0f", "\U0001f3fd", "\u0600", "\u0e33\u0301", "\u034f", "\U000e0101", "\U0010ffff"])

PLAIN = {
    "NFC": {"type": "NFC"}, "NFD": {"type": "NFD"}, "NFKC": {"type": "NFKC"}, "NFKD": {"type": "NFKD"},
    "Lowercase": {"type": "Lowercase"}, "StripAccents": {"type": "StripAccents"}, "Nmt": {"type": "Nmt"},
    "Strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "StripLeft": {"type": "Strip", "strip_left": True, "strip_right": False},
    "StripRight": {"type": "Strip", "strip_left": False, "strip_right": True},
    "StripNothing": {"type": "Strip", "strip_left": False, "strip_right": False},
    "Prepend": {"type": "Prepend", "prepend": "\u2581"},
    "PrependMany": {"type": "Prepend", "prepend": "a\u0301b"},
    "PrependNothing": {"type": "Prepend", "prepend": ""},
    "ByteLevel": {"type": "ByteLevel"},
    "ReplaceSpace": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "ReplaceString": {"type": "Replace", "pattern": {"String": "aa"}, "content": "xyz"},
    "ReplaceMetacharacters": {"type": "Replace", "pattern": {"String": "."}, "content": "\\1$0"},
    "ReplaceByNothing": {"type": "Replace", "pattern": {"String": "a"}, "content": ""},
    "ReplaceRegex": {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    "ReplaceSpaces": {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "\u2581"},
    "ReplaceLetters": {"type": "Replace", "pattern": {"Regex": "\\p{L}+"}, "content": "L\u0301"},
    "ReplaceEmptyMatches": {"type": "Replace", "pattern": {"Regex": "b*"}, "content": "-"},
    "ReplaceAtLines": {"type": "Replace", "pattern": {"Regex": "^a|b$"}, "content": "<>"},
    "ReplaceMany": {"type": "Replace", "pattern": {"Regex": "(?i)[aeiou\u0301]"}, "content": "_"},
}


def sequence(*items):
    return {"type": "Sequence", "normalizers": list(items)}


SEQUENCES = {
    "LLaMA2": sequence(PLAIN["Prepend"], PLAIN["ReplaceSpace"]),
    "NfdStripAccentsLower": sequence(PLAIN["NFD"], PLAIN["StripAccents"], PLAIN["Lowercase"]),
    "NfkcStripNfd": sequence(PLAIN["NFKC"], PLAIN["Strip"], PLAIN["NFD"], PLAIN["NFC"]),
    "LowerNfkdReplace": sequence(PLAIN["Lowercase"], PLAIN["NFKD"], PLAIN["ReplaceString"], PLAIN["ReplaceByNothing"]),
    "StripPrependByteLevel": sequence(PLAIN["StripLeft"], PLAIN["PrependMany"], PLAIN["NFC"], PLAIN["ByteLevel"]),
    "NmtBertReplace": sequence(PLAIN["Nmt"], {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                                              "strip_accents": None, "lowercase": True}, PLAIN["ReplaceSpaces"]),
    "Nested": sequence(sequence(PLAIN["NFD"], sequence()), sequence(PLAIN["ReplaceSpace"])),
    "NfdReplaceNfc": sequence(PLAIN["NFD"], {"type": "Replace", "pattern": {"Regex": "\\p{M}"}, "content": "xy"}, PLAIN["NFC"]),
}


def bert():
    for i in range(24):
        yield f"Bert{i}", {"type": "BertNormalizer", "clean_text": bool(i & 1), "handle_chinese_chars": bool(i & 2),
                           "strip_accents": [None, True, False][i // 8], "lowercase": bool(i & 4)}


RULES = [("a", "x"), ("ab", "yy"), ("abc", ""), ("\u0301", "^"), ("e\u0301", "E"), ("\u3000", " "), ("\t", " "), ("(c)", "\u00a9"),
         ("\u4e2d\u6587", "zh"), ("\u4e2d", "Z"), ("\U0001f1e9\U0001f1ea", "DE"), ("\u200d", ""), ("1\ufe0f\u20e3", "one"),
         ("\r\n", "\n"), ("\ufdfa", "long text of many words"), ("b\u0301", "  ")]


def charsmaps(folder):
    """Maps as SentencePiece makes them: {name: (blob, model file)}."""
    text = folder / "text"
    text.write_text("hello world this is a text to train with\n" * 50)
    tsv = folder / "rules.tsv"
    tsv.write_text("".join(f"{' '.join('%X' % ord(c) for c in k)}\t{' '.join('%X' % ord(c) for c in v)}\n" for k, v in RULES))
    result = {}
    for name in ("nmt_nfkc", "nfkc", "nfkc_cf", "nmt_nfkc_cf", "user_defined", "identity"):
        settings = {"normalization_rule_tsv": str(tsv)} if name == "user_defined" else {"normalization_rule_name": name}
        sentencepiece.SentencePieceTrainer.train(input=str(text), model_prefix=str(folder / name), vocab_size=40,
                                                 hard_vocab_limit=False, minloglevel=2, **settings)
        result[name] = folder / (name + ".model")
    return result


def spec_of(model):
    """The fields of a model's normalizer_spec, by number, read from its protobuf."""
    def fields(data):
        at = 0
        while at < len(data):
            key, at = varint(data, at)
            if key & 7 == 2:
                n, at = varint(data, at)
                yield key >> 3, data[at:at + n]
                at += n
            elif key & 7 == 0:
                value, at = varint(data, at)
                yield key >> 3, value
            else:
                yield key >> 3, data[at:at + 4]
                at += 4

    def varint(data, at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift += 7
            at += 1
            if data[at - 1] < 128:
                return value, at

    return dict(fields(dict(fields(model.read_bytes()))[3]))


def peer_normalizer(description):
    return Tokenizer.from_str(json.dumps({"version": "1.0", "normalizer": description, "added_tokens": [],
                                          "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})).normalizer


def peer_normalized(normalizer, text):
    """The text and the origin of each character."""
    string = PreTokenizedString(text)
    string.normalize(lambda part: normalizer.normalize(part))
    CHARACTERS.pre_tokenize(string)
    pieces = [(piece, span) for piece, span, _ in string.get_splits("original", "byte") if piece]
    return "".join(piece for piece, _ in pieces).encode(), [span for _, span in pieces]


def order(letter, data):
    return letter + struct.pack("=I", len(data)) + data


def ours(program, orders):
    return subprocess.run([program], input=b"".join(orders), stdout=subprocess.PIPE, check=True).stdout


def ours_normalized(program, description, texts):
    reply = ours(program, [order(b"N", json.dumps(description).encode())] + [order(b"T", t.encode()) for t in texts])
    at = 0
    for _ in texts:
        n, = struct.unpack_from("=I", reply, at)
        text = reply[at + 4:at + 4 + n]
        spans = list(struct.iter_unpack("=II", reply[at + 4 + n:at + 4 + 9 * n]))
        starts = [i for i in range(n) if text[i] & 0xc0 != 0x80] + [n]
        yield text, [(spans[a][0], spans[b - 1][1]) for a, b in zip(starts, starts[1:])]
        at += 4 + 9 * n


def official_texts():
    texts = []
    for path in (DATA / "NormalizationTest.txt.bz2", DATA / "NormalizationTest.txt"):
        if path.exists():
            data = bz2.decompress(path.read_bytes()) if path.suffix == ".bz2" else path.read_bytes()
            for line in data.decode().splitlines():
                columns = line.split("#")[0].split(";")
                if len(columns) > 4:
                    texts.append("|".join("".join(chr(int(c, 16)) for c in column.split()) for column in columns[:5]))
            break
    for path in (DATA / "auxiliary/GraphemeBreakTest.txt", DATA / "auxiliary/GraphemeBreakTest.txt.bz2"):
        if path.exists():
            data = bz2.decompress(path.read_bytes()) if path.suffix == ".bz2" else path.read_bytes()
            texts += ["".join(chr(int(c, 16)) for c in line.split("#")[0].split() if c not in "÷×")
                      for line in data.decode().splitlines() if "÷" in line.split("#")[0]]
    return texts


def random_texts(rng, n):
    def piece():
        kind = rng.randrange(10)
        if kind == 0:
            return chr(rng.choice(UNICODE))
        if kind == 1:
            return chr(rng.choice([rng.randrange(0x80), rng.randrange(0x3100), rng.randrange(0x300, 0x370)]))
        if kind == 2:
            start = rng.choice([0x900, 0xe00, 0x1100, 0x1d00, 0xac00, 0xf900, 0xfb00, 0xff00, 0x1d100, 0x1f300, 0x2f800])
            return "".join(chr(start + rng.randrange(256)) for _ in range(rng.randint(1, 4)))
        return rng.choice(SNIPPETS)
    return ["".join(piece() for _ in range(rng.randint(0, 16))) for _ in range(n)]


def in_context(code):
    return f"a{chr(code)}e\u0301{chr(code)}{chr(code)} b"


class Judge:
    def __init__(self, verbose):
        self.failures = 0
        self.most = 1000000 if verbose else 5

    def differs(self, name, count, text, left, right):
        self.failures += 1
        if count <= self.most:
            print(f"{name}: {text!r} ({' '.join('%04X' % ord(c) for c in text) if isinstance(text, str) else ''})\n"
                  f"  ours:   {left}\n  theirs: {right}")


def compare_normalizer(judge, program, name, description, texts, codes):
    peer = peer_normalizer(description)
    blocks = [codes[i:i + BLOCK] for i in range(0, len(codes), BLOCK)]
    wrong = []
    for text, mine in zip(texts, ours_normalized(program, description, texts)):
        if mine != peer_normalized(peer, text):
            wrong.append(text)
    joined = ["".join(map(in_context, block)) for block in blocks]
    bad = [block for block, text, mine in zip(blocks, joined, ours_normalized(program, description, joined))
           if mine != peer_normalized(peer, text)]
    wrong += [in_context(code) for block in bad for code in block]
    count = 0
    for text, mine in zip(wrong, ours_normalized(program, description, wrong)):
        theirs = peer_normalized(peer, text)
        if mine != theirs:
            count += 1
            judge.differs(name, count, text, (mine[0].decode(errors="replace"), mine[1]), (theirs[0].decode(), theirs[1]))
    print(f"{name}: {len(texts)} texts, {len(codes)} code points, {count} differences", flush=True)


def compare_sentencepiece(judge, program, model, symbols, texts):
    for name, path in model.items():
        for i in range(8):
            blob = path.read_bytes()
            flags = {"add_dummy_prefix": bool(i & 1), "remove_extra_whitespaces": bool(i & 2), "escape_whitespaces": bool(i & 4)}
            theirs = sentencepiece.SentencePieceNormalizer(model_proto=blob, **flags)
            spec = spec_of(path)
            description = {"type": "SentencePiece", "precompiled_charsmap": base64.b64encode(spec.get(2, b"")).decode(), **flags}
            count = 0
            replies = list(ours_normalized(program, description, texts))
            for text, (mine, spans) in zip(texts, replies):
                if "\x00" in text:
                    continue
                expected, at = theirs.normalize(text, with_offsets=True)
                expected = expected.encode()
                if mine != expected:
                    count += 1
                    judge.differs(f"SentencePiece {name} {flags}", count, text, mine, expected)
            print(f"SentencePiece {name} {i}: {len(texts)} texts, {count} differences", flush=True)


DECODERS = {
    "ByteLevel": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, "Fuse": {"type": "Fuse"}, "ByteFallback": {"type": "ByteFallback"}, "None": None,
    "WordPiece": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "WordPieceRaw": {"type": "WordPiece", "prefix": "##", "cleanup": False},
    "WordPieceOther": {"type": "WordPiece", "prefix": "a", "cleanup": True},
    "Metaspace": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
    "MetaspaceFirst": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True},
    "MetaspaceNever": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never", "split": True},
    "MetaspaceA": {"type": "Metaspace", "replacement": "a", "prepend_scheme": "always", "split": False},
    "BPE": {"type": "BPEDecoder", "suffix": "</w>"}, "BPEa": {"type": "BPEDecoder", "suffix": "a"},
    "CTC": {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    "CTCRaw": {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    "Replace": {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
    "ReplaceRegex": {"type": "Replace", "pattern": {"Regex": "[ab]+"}, "content": "-"},
    "ReplaceByNothing": {"type": "Replace", "pattern": {"String": "a"}, "content": ""},
    "Strip": {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    "StripBoth": {"type": "Strip", "content": "a", "start": 2, "stop": 1},
}


def decoder_sequence(*names):
    return {"type": "Sequence", "decoders": [DECODERS[name] for name in names]}


DECODER_CHAINS = [("Replace", "ByteFallback", "Fuse", "Strip"), ("Replace", "ByteFallback", "Fuse"), ("Fuse", "Metaspace"),
                  ("ByteFallback", "Metaspace"), ("WordPiece", "Fuse", "Replace"), ("Strip", "Replace"), ("Replace", "Strip"),
                  ("CTC", "Fuse", "Strip"), ("Fuse", "Replace", "StripBoth"), ("ByteLevel", "Strip"), ("ByteLevel", "ByteLevel"),
                  ("BPE", "Strip"), ("ByteFallback", "StripBoth"), ("ByteFallback", "ReplaceRegex"), ("Metaspace", "WordPiece"),
                  ("ByteFallback", "ByteLevel"), ("Metaspace", "CTC"), ("WordPiece", "CTC"), ("CTC", "WordPiece"),
                  ("ByteFallback", "BPE"), ("ByteFallback", "WordPiece"), ("ReplaceByNothing", "WordPiece"), ("Fuse", "BPE"),
                  ("Fuse", "WordPiece"), ("Fuse", "CTC"), ("ByteLevel", "Metaspace"), ("ByteFallback", "CTC"), ("Fuse", "ByteFallback"),
                  ("Strip", "BPE"), ("BPE", "Metaspace"), ("BPE", "WordPiece")]
TOKENS = (["a", "b", "aa", "ab", "##a", "##", "##.", ".", ",", "?", "!", "'", "'s", "n't", "'m", "do", "not", " do not", "##not", "'ve",
           "'re", " ", "  ", " a", "a ", " .", "\u2581", "\u2581a", "a\u2581", "\u2581\u2581", "\u2581.", "</w>", "a</w>", "b</w>c", "<pad>",
           "|", "a|b", "<pad>a", "", "\u00e9", "\u4e2d", "\u0120", "\u0120a", "\u010a", "\u00c3", "\u00a9", "\u00c3\u00a9", "\u00e4\u00b8\u0143",
           "\u0120\u4e2d", "<0x", "<0x4>", "<0xg0>", "<0x+1>", "<0x-1>", "<0xe4>", " <0x41>", "<0x41> "]
          + [f"<0x{b:02X}>" for b in (0, 0x20, 0x41, 0x61, 0xe4, 0xb8, 0xad, 0xc3, 0xa9, 0xff, 0xf0, 0x9f, 0x8c, 0x8b, 0x80, 0xc0)])


def replaced(data, peer_text):
    """Bytes that are no UTF-8 are U+FFFD to the peer; the number of them is its own affair. Both sides with runs of
    U+FFFD made one."""
    text = data.decode("utf-8", "replace")
    while "\ufffd\ufffd" in text:
        text = text.replace("\ufffd\ufffd", "\ufffd")
    while "\ufffd\ufffd" in peer_text:
        peer_text = peer_text.replace("\ufffd\ufffd", "\ufffd")
    return text, peer_text


def compare_decoders(judge, program, rng, n, only):
    chains = dict(DECODERS)
    chains.update({"+".join(c): decoder_sequence(*c) for c in DECODER_CHAINS})
    vocabulary = order(b"V", b"".join(struct.pack("=I", len(t.encode())) + t.encode() for t in TOKENS))
    lists = [[rng.randrange(len(TOKENS)) for _ in range(rng.randint(0, 7))] for _ in range(n)]
    lists += [[i] for i in range(len(TOKENS))] + [[i, i] for i in range(len(TOKENS))]
    for name, description in chains.items():
        if only and only not in (name, "decoders"):
            continue
        peer = Tokenizer.from_str(json.dumps({"version": "1.0", "decoder": description, "added_tokens": [], "model": {
            "type": "WordLevel", "vocab": {t: i for i, t in enumerate(TOKENS)}, "unk_token": "a"}}))
        reply = ours(program, [vocabulary, order(b"D", json.dumps(description).encode())]
                     + [order(b"I", struct.pack(f"={len(ids)}i", *ids)) for ids in lists])
        at = count = 0
        for ids in lists:
            size, = struct.unpack_from("=I", reply, at)
            mine = reply[at + 4:at + 4 + size]
            at += 4 + size
            try:
                theirs = peer.decode(ids, skip_special_tokens=False)
            except BaseException as failure:  # the peer's Strip panics where both its ends meet
                if type(failure).__name__ != "PanicException":
                    raise
                continue
            left, right = replaced(mine, theirs)
            if left != right:
                count += 1
                judge.differs("decoder " + name, count, [TOKENS[i] for i in ids], left, right)
        print(f"decoder {name}: {len(lists)} lists, {count} differences", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the text_batch program of a build")
    parser.add_argument("-n", type=int, default=2000, help="number of random texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="of the code points and official texts, each so many-th")
    parser.add_argument("--only", help="the normaliser or decoder of this name")
    parser.add_argument("--verbose", action="store_true", help="print all differences")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    texts = random_texts(rng, args.n) + official_texts()[args.seed % args.every::args.every]
    codes = UNICODE[args.seed % args.every::args.every]
    judge = Judge(args.verbose)
    with tempfile.TemporaryDirectory() as folder:
        maps = charsmaps(pathlib.Path(folder))
        kinds = {**PLAIN, **SEQUENCES, **dict(bert())}
        for name, path in maps.items():
            blob = spec_of(path).get(2, b"")
            if blob:
                kinds["Precompiled_" + name] = {"type": "Precompiled",
                                                "precompiled_charsmap": base64.b64encode(blob).decode()}
        for name, description in kinds.items():
            if not args.only or args.only == name:
                compare_normalizer(judge, args.program, name, description, texts, codes)
        if not args.only or args.only == "SentencePiece":
            compare_sentencepiece(judge, args.program, maps, [], texts + ["".join(map(chr, codes[i:i + 8])) for i in range(0, len(codes), 8)])
    compare_decoders(judge, args.program, rng, args.n, args.only)
    print(f"{judge.failures} differences")
    return judge.failures > 0


if __name__ == "__main__":
    sys.exit(main())
