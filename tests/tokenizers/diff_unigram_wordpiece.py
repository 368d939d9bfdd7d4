#!/usr/bin/env python3
r"""Compares pumice's Unigram and WordPiece with Hugging Face `tokenizers` and with SentencePiece on random strings.

    pip install tokenizers sentencepiece gguf        (in a virtual environment)
    python3 tests/tokenizers/diff_unigram_wordpiece.py build/release/bin/encode_batch FILE... [-n 20000] [--seed 1]

What FILE is compared with:
    *.model          SentencePiece; and, if it is a Unigram, Hugging Face with the same pieces and character map, which
                     pumice reads as the tokenizer.json that the other side saves
    tokenizer.json   Hugging Face: ids, offsets and what they decode to
    *.gguf           a BERT vocabulary: Hugging Face's WordPiece with BERT's normaliser and pre-tokenizer

Ids and decoded text must be the same. Offsets must be the same once each is moved outwards to whole characters (a token
may stand for part of one; the other side then says all of it, or all of a run of characters that became bytes). Special
tokens are not honoured in texts. What is counted and left out, each a fault of the other side:
 - its model makes special tokens and bytes from their names in the text;
 - its offsets are off where its normaliser takes characters away (in '\x0f\u00e9gale' it says that the word begins at 0);
 - it reads scores from a tokenizer.json wrong by a unit in the last place (saving what it has loaded changes them), which
   decides ties; so pumice is given the file that the other side saves after loading;
 - its tables are of an older Unicode than ICU's (BERT: what is punctuation, a mark, a letter).
Prints the first differences; the exit status is 1 where there is any.
"""
import argparse
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

# ---- Texts ----

SPACES = [" ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u3000",
          "\u200b", "\ufeff", "\u2581", "\u2581\u2581"]
MARKS = ["\u0301", "\u0323", "\u200d", "\u200c", "\ufe0f", "\u20e3", "\u202e", "\u0e31", "\u093f", "\u3099", "\u0345",
         "\u1161", "\u11a8"]
EMOJI = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
         "\U0001f999"]
SCRIPTS = [(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0xe00), (0xe00, 0x1000),
           (0x10a0, 0x1400), (0x1e00, 0x2000), (0x2000, 0x2c00), (0x3000, 0x3200), (0x4e00, 0x4f00), (0xac00, 0xad00),
           (0xf900, 0x10000), (0x1d400, 0x1d800), (0x1f300, 0x1fb00), (0x20000, 0x20100), (0xe0000, 0xe0080)]
WORDS = ["the", "of", "Hello", "World", "stra\u00dfe", "na\u00efve", "funci\u00f3n", "def __init__(self):",
         "\u541b\u306e\u540d\u306f", "\u043f\u0440\u0438\u0432\u0435\u0442", "\uff8a\uff9f", "\ufb01nd", "don't",
         "unaffable", "x" * 101, "\u212b", "1,234.5", "#hashtag", "##ing"]
SPECIAL = ["<s>", "</s>", "<unk>", "<pad>", "<mask>", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "<0x41>"]


def character(c):
    """The character; nothing for surrogates and for what only newer versions of Unicode than somebody's have."""
    return "" if unicodedata.category(chr(c)) in ("Cn", "Cs") else chr(c)


def random_part(rng, pieces):
    kind = rng.randrange(11)
    if kind == 0:
        return character(rng.choice([rng.randrange(0x110000), rng.randrange(0x3000), rng.randrange(0x250)]))
    if kind == 1:
        low, high = rng.choice(SCRIPTS)
        return "".join(character(rng.randrange(low, high)) for _ in range(rng.randint(1, 6)))
    if kind == 2:
        return rng.choice(SPACES) * rng.choice([1, 1, 2, 5])
    if kind == 3:
        return rng.choice(EMOJI + MARKS)
    if kind == 4:
        return character(rng.choice([rng.randrange(0x20), rng.randrange(0x7f, 0xa0)]))
    if kind == 5:
        return rng.choice("!-/:;<=>?@[]^_`{|}~$%&*().,\"#'") * rng.choice([1, 1, 2, 20])
    if kind == 6:
        return " " + rng.choice(WORDS)
    if kind == 7:
        special = rng.choice(SPECIAL)
        return rng.choice([special, special[:-1], special[1:]]) if rng.random() < .2 else " "
    return rng.choice(pieces).replace("\u2581", rng.choice([" ", " ", " ", ""]))


def random_texts(rng, n, pieces):
    return ["".join(random_part(rng, pieces) for _ in range(rng.randint(0, 24))) for _ in range(n)]


# ---- This side ----

def ours(program, path, texts):
    request = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    reply = subprocess.run([program, path, "--offsets", "--decode"], input=request, stdout=subprocess.PIPE,
                           check=True).stdout
    at, results = 0, []
    for _ in texts:
        n, = struct.unpack_from("<I", reply, at)
        ids = list(struct.unpack_from(f"<{n}i", reply, at + 4))
        flat = struct.unpack_from(f"<{2 * n}I", reply, at + 4 + 4 * n)
        at += 4 + 12 * n
        size, = struct.unpack_from("<I", reply, at)
        results.append((ids, list(zip(flat[::2], flat[1::2])), reply[at + 4:at + 4 + size]))
        at += 4 + size
    return results


def snap(text, spans):
    """Spans in bytes as spans in characters, moved outwards."""
    first, after = [], []
    for i, c in enumerate(text):
        n = len(c.encode())
        first += [i] * n
        after += [i + 1] * n
    first.append(len(text))
    return [(first[b], after[e - 1] if e > b else first[b]) for b, e in spans]


# ---- The other sides ----

def read_varint(b, at):
    value = shift = 0
    while True:
        value |= (b[at] & 127) << shift
        shift += 7
        at += 1
        if b[at - 1] < 128:
            return value, at


def protobuf_fields(b):
    at = 0
    while at < len(b):
        key, at = read_varint(b, at)
        if key & 7 == 0:
            value, at = read_varint(b, at)
        else:
            n, at = read_varint(b, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = b[at:at + n], at + n
        yield key >> 3, value


def read_sentencepiece(path):
    """Pieces (text, score, type), the trainer's and the normaliser's settings."""
    pieces, trainer, normalizer = [], {}, {}
    for field, value in protobuf_fields(open(path, "rb").read()):
        if field == 1:
            piece = dict(protobuf_fields(value))
            score, = struct.unpack("<f", piece.get(2, bytes(4)))
            pieces.append((piece[1].decode(), score, piece.get(3, 1)))
        elif field == 2:
            trainer = dict(protobuf_fields(value))
        elif field == 3:
            normalizer = dict(protobuf_fields(value))
    return pieces, trainer, normalizer


def as_hugging_face(pieces, trainer, normalizer):
    unk = next(i for i, p in enumerate(pieces) if p[2] == 2)
    tokenizer = Tokenizer(models.Unigram([p[:2] for p in pieces], unk, bool(trainer.get(35, 0))))
    steps = [normalizers.Precompiled(normalizer[2])] if normalizer.get(2) else []
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([p[0] for p in pieces if p[2] in (2, 3)])
    return tokenizer


def bert_of_gguf(path):
    import gguf
    tokens = gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"].contents()
    bare = [t[1:] if t.startswith("\u2581") else t if t.startswith("[") and t.endswith("]") and len(t) > 2 else "##" + t
            for t in tokens]
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(bare)}, unk_token="[UNK]",
                                           max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([t for t in bare if t in SPECIAL])
    return tokenizer


# ---- The comparison ----

class Report:
    def __init__(self, name):
        self.name, self.n, self.failures, self.left_out = name, 0, 0, {}

    def leave_out(self, why):
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def check(self, text, what, mine, theirs):
        if mine == theirs:
            return
        self.failures += 1
        if self.failures <= 5:
            first = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
            print(f"{self.name}: {what} of {text!r}\n  ours   from {first}: {mine[first:first + 8]}\n"
                  f"  theirs from {first}: {theirs[first:first + 8]}")

    def end(self):
        left_out = "".join(f"; {n} {why}" for why, n in self.left_out.items())
        print(f"{self.name}: {self.n} texts, {self.failures} differences{left_out}")
        return self.failures


class Knowledge:
    """What the other side knows of a character, found out by asking."""

    def __init__(self, other):
        self.normalizer, self.is_bert = other.normalizer, isinstance(other.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        self.bert = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=True,
                                               lowercase=False)
        self.removed, self.old = {}, {}

    def is_removed(self, c):
        if c not in self.removed:
            self.removed[c] = self.normalizer is not None and self.normalizer.normalize_str("a" + c + "a") == "aa"
        return self.removed[c]

    def is_old(self, c):
        """Does it take the character for something else than this Python's Unicode does?"""
        if c < "\u0300":
            return False
        if not self.is_bert and c not in self.old:
            self.old[c] = normalizers.NFKC().normalize_str(c) != unicodedata.normalize("NFKC", c)
        if c not in self.old:
            category = unicodedata.category(c)
            is_mark = len(self.bert.normalize_str("a" + c + "a")) == 2
            pieces = len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str("a" + c + "a"))
            decomposed = unicodedata.normalize("NFD", c) != c
            self.old[c] = (not decomposed and is_mark != (category in ("Mn", "Cc", "Cf", "Co", "Cs"))) or (
                (pieces == 3) != (category[0] == "P") and category[0] != "Z")
        return self.old[c]


def merge_bytes(spans, ids, byte_ids):
    """One span for each run of byte tokens."""
    out, was_byte = [], False
    for span, i in zip(spans, ids):
        if was_byte and i in byte_ids:
            out[-1] = (min(out[-1][0], span[0]), max(out[-1][1], span[1]))
        else:
            out.append(span)
        was_byte = i in byte_ids
    return out


def compare_hugging_face(program, name, path, other, texts):
    report = Report(name)
    knowledge = Knowledge(other)
    other.encode_special_tokens = True
    other.no_truncation()
    other.no_padding()
    added = {token.content: i for i, token in other.get_added_tokens_decoder().items() if token.special}
    unknown = ("<unk>", "[UNK]")
    special = {i for content, i in added.items() if content not in unknown}
    byte_names = {f"<0x{b:02X}>" for b in range(256)}
    byte_ids = {other.token_to_id(t) for t in byte_names} - {None}
    names = byte_names | set(unknown)
    theirs = other.encode_batch(texts, add_special_tokens=False)
    for text, (ids, spans, back), encoding in zip(texts, ours(program, path, [t.encode() for t in texts]), theirs):
        report.n += 1
        if special & set(encoding.ids) or (ids != encoding.ids and any(t in text for t in names)):
            report.leave_out("texts from which the other side makes special tokens")
            continue
        if any(map(knowledge.is_old, text)):
            report.leave_out("texts with characters of newer Unicode")
            continue
        report.check(text, "ids", ids, encoding.ids)
        if ids != encoding.ids:
            continue
        decoded = other.decode(ids, skip_special_tokens=False)
        if "\ufffd" not in decoded:
            report.check(text, "text", back, decoded.encode())
        if not knowledge.is_bert and any(map(knowledge.is_removed, text)):
            report.leave_out("texts whose offsets are off")
            continue
        report.check(text, "offsets", merge_bytes(snap(text, spans), ids, byte_ids),
                     merge_bytes(encoding.offsets, ids, byte_ids))
    return report.end()


def compare_sentencepiece(program, path, texts):
    import sentencepiece
    other = sentencepiece.SentencePieceProcessor(path)
    report = Report(f"{os.path.basename(path)}, SentencePiece")
    for text, (ids, _, back) in zip(texts, ours(program, path, [t.encode() for t in texts])):
        report.n += 1
        expected = other.encode(text)
        report.check(text, "ids", ids, expected)
        if ids == expected and "\ufffd" not in other.decode(ids):
            report.check(text, "text", back, other.decode(ids).encode())
    return report.end()


def compare_saved(program, name, other, texts):
    with tempfile.TemporaryDirectory() as folder:
        saved = os.path.join(folder, "tokenizer.json")
        other.save(saved)
        return compare_hugging_face(program, name, saved, other, texts)


def compare(program, path, n, seed):
    rng = random.Random(seed)
    name = os.path.basename(path)
    if path.endswith(".model"):
        pieces, trainer, normalizer = read_sentencepiece(path)
        texts = random_texts(rng, n, [p[0] for p in pieces])
        failures = compare_sentencepiece(program, path, texts)
        if trainer.get(3, 1) != 1:
            return failures
        other = as_hugging_face(pieces, trainer, normalizer)
        return failures + compare_saved(program, f"{name}, Hugging Face", other, texts)
    other = bert_of_gguf(path) if path.endswith(".gguf") else Tokenizer.from_file(path)
    pieces = sorted(other.get_vocab())
    texts = random_texts(rng, n, [p.removeprefix("##") for p in pieces])
    if isinstance(other.model, models.Unigram):
        return compare_saved(program, name, other, texts)
    return compare_hugging_face(program, name, path, other, texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the encode_batch program of a build")
    parser.add_argument("files", nargs="+")
    parser.add_argument("-n", type=int, default=20000, help="number of strings for each file")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    return sum(compare(args.program, path, args.n, args.seed) for path in args.files) > 0


if __name__ == "__main__":
    sys.exit(main())
