"""One file's tokenizer on both sides, and what differs."""
import os
import random
import struct
import subprocess
import tempfile
import unicodedata

from tokenizers import decoders, models

import others
import texts as make

# ---- This side ----


class Ours:
    def __init__(self, program, path, plugin=None):
        self.command = [program, path] + (["--plugin", plugin] if plugin else [])

    def ask(self, options, requests):
        return subprocess.run(self.command + options, input=b"".join(requests), stdout=subprocess.PIPE, check=True).stdout

    def encode(self, texts, special):
        """Of each text: ids, offsets in bytes, and what the ids decode to."""
        requests = [struct.pack("<I", len(t)) + t for t in (t.encode() for t in texts)]
        reply = self.ask(["--offsets", "--decode"] + (["--special"] if special else []), requests)
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

    def decode(self, lists):
        reply = self.ask(["--ids"], [struct.pack(f"<I{len(ids)}i", len(ids), *ids) for ids in lists])
        at, results = 0, []
        for _ in lists:
            size, = struct.unpack_from("<I", reply, at)
            results.append(reply[at + 4:at + 4 + size])
            at += 4 + size
        return results


def in_characters(text, spans):
    """Spans in bytes as spans in characters, moved outwards: the other side knows nothing smaller."""
    if text.isascii():
        return spans
    first, after = [], []
    for i, c in enumerate(text):
        n = len(c.encode())
        first += [i] * n
        after += [i + 1] * n
    first.append(len(text))
    return [(first[b], after[e - 1] if e > b else first[b]) for b, e in spans]


def fixed_texts(args):
    each = make.unicode_test_texts() + make.code_point_texts(args.every)
    return each[::args.fixed_every] + make.language_texts() + make.file_texts(args.texts)


# ---- What is found ----


class Report:
    def __init__(self, name, most):
        self.name, self.n, self.failures, self.left_out, self.most = name, 0, 0, {}, most

    def leave_out(self, why):
        self.left_out[why] = self.left_out.get(why, 0) + 1

    def check(self, text, what, mine, theirs):
        self.n += 1
        if mine == theirs:
            return True
        self.failures += 1
        if self.failures <= self.most:
            first = next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), min(len(mine), len(theirs)))
            begin = max(0, first - 2)
            print(f"{self.name}: {what} of {text!r:.600}\n  ours   from {begin}: {mine[begin:first + 8]}\n"
                  f"  theirs from {begin}: {theirs[begin:first + 8]}")
        return False

    def end(self):
        left_out = "".join(f"; left out: {n} {why}" for why, n in self.left_out.items())
        print(f"{self.name}: {self.n} comparisons, {self.failures} differences{left_out}", flush=True)
        return self.failures


# ---- Hugging Face ----


def readable(pieces):
    """Pieces of a vocabulary as text: byte-level ones spelled in bytes, the marks of WordPiece taken off."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    spelled = {chr(b): b for b in plain}
    spelled.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)})
    out = []
    byte_level = "\u0120t" in pieces or "\u0120the" in pieces
    for piece in pieces:
        if byte_level and all(c in spelled for c in piece):
            piece = bytes(spelled[c] for c in piece).decode("utf-8", "ignore")
        out.append(piece.removeprefix("##"))
    return out


class HuggingFace:
    """Its faults, found out by asking it, so that what they spoil is left out and counted."""

    def __init__(self, tokenizer):
        self.it = tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.added = tokenizer.get_added_tokens_decoder()
        self.special = {i for i, token in self.added.items() if token.special}
        self.names = [token.content for token in self.added.values()] or ["<|endoftext|>"]
        self.unknown = {tokenizer.token_to_id(t) for t in ("<unk>", "[UNK]")} - {None}
        self.bytes = {tokenizer.token_to_id(f"<0x{b:02X}>") for b in range(256)} - {None}
        byte_names = [f"<0x{b:02X}>" for b in range(256)] if self.bytes else []
        self.forgeable = byte_names + [tokenizer.id_to_token(i) for i in self.unknown]
        self.misread = {i for i, token in self.added.items() if not token.content.isascii()
                        } if isinstance(tokenizer.decoder, decoders.ByteLevel) else set()
        self.removed = {}
        self.normalizer = repr(tokenizer.normalizer)

    def forges(self, text, ids):
        """Its model makes control tokens and bytes of their names in the text; ours cannot be made to."""
        return not (self.special - self.unknown).isdisjoint(ids) or any(name in text for name in self.forgeable)

    def clusters_differ(self, text):
        """SentencePiece's charsmap works on grapheme clusters here, and marks of later Unicode join them."""
        return "Precompiled" in self.normalizer and any(unicodedata.category(c) == "Cn" for c in text)

    def removes(self, text):
        """Its offsets are off where its normaliser takes characters away."""
        for c in text:
            if c not in self.removed:
                self.removed[c] = self.it.normalizer is not None and (
                    self.it.normalizer.normalize_str("a" + c + "a") == self.it.normalizer.normalize_str("aa"))
            if self.removed[c]:
                return True
        return False


def merged_bytes(spans, ids, byte_ids):
    """One span for each run of byte tokens: the other side gives all of them what the character covers."""
    if not byte_ids:
        return spans
    out, was_byte = [], False
    for span, i in zip(spans, ids):
        if was_byte and i in byte_ids:
            out[-1] = (min(out[-1][0], span[0]), max(out[-1][1], span[1]))
        else:
            out.append(span)
        was_byte = i in byte_ids
    return out


def compare_texts(report, ours, peer, texts, special):
    peer.it.encode_special_tokens = not special
    theirs = peer.it.encode_batch(texts, add_special_tokens=False)
    for text, (ids, spans, back), encoding in zip(texts, ours.encode(texts, special), theirs):
        what = " with special tokens" if special else ""
        if ids != encoding.ids and not special and peer.forges(text, encoding.ids):
            report.leave_out("texts from which the other side's model makes control tokens or bytes")
            continue
        mine = merged_bytes(in_characters(text, spans), ids, peer.bytes)
        offsets = merged_bytes(encoding.offsets, encoding.ids, peer.bytes)
        if (ids, mine) != (encoding.ids, offsets) and peer.clusters_differ(text):
            report.leave_out("texts with characters newer than ICU, which the other side's charsmap takes for marks")
            continue
        if not report.check(text, "ids" + what, ids, encoding.ids):
            continue
        if peer.removes(text):
            report.leave_out("texts whose offsets are off on the other side, characters having been removed")
        else:
            report.check(text, "offsets" + what, mine, offsets)
        compare_decoded(report, peer, ids, back)


def compare_decoded(report, peer, ids, back):
    """Bytes that are no UTF-8 we give as they are, the other side as U+FFFD."""
    expected = peer.it.decode(ids, skip_special_tokens=False)
    if not peer.misread.isdisjoint(ids):
        report.leave_out("lists of ids with added tokens that the other side takes for bytes")
    elif "\ufffd" in expected and peer.bytes and "\ufffd" in back.decode("utf-8", "replace"):
        report.leave_out("lists of ids with bytes that are no UTF-8, of which the other side loses the good ones too")
    elif "\ufffd" in expected:
        mine = back.decode("utf-8", "replace")
        if mine != expected:
            mine, expected = mine.replace("\ufffd", ""), expected.replace("\ufffd", "")
        report.check(ids, "text with broken characters", mine, expected)
    else:
        report.check(ids, "text", back, expected.encode())


def compare_hugging_face(name, ours, tokenizer, args, rng):
    peer = HuggingFace(tokenizer)
    report = Report(name, args.show)
    pieces = readable(sorted(tokenizer.get_vocab()))
    texts = fixed_texts(args) + make.random_texts(rng, args.n, pieces, peer.names)
    for begin in range(0, len(texts), 4096):
        for special in (False, True):
            compare_texts(report, ours, peer, texts[begin:begin + 4096], special)
    n_ids = tokenizer.get_vocab_size()
    known = [i for i in range(n_ids) if tokenizer.id_to_token(i) is not None]
    lists = [[rng.choice(known) for _ in range(rng.randint(0, 12))] for _ in range(args.n // 4)]
    for ids, back in zip(lists, ours.decode(lists)):
        compare_decoded(report, peer, ids, back)
    return report.end()


def compare_saved(program, name, tokenizer, args, rng):
    """It reads scores from a tokenizer.json wrong by a unit in the last place, which decides ties: both get what it saves."""
    with tempfile.TemporaryDirectory() as folder:
        saved = os.path.join(folder, "tokenizer.json")
        tokenizer.save(saved)
        return compare_hugging_face(name, Ours(program, saved), tokenizer, args, rng)


# ---- The others: ids and text, special tokens as plain text ----


def compare_library(name, ours, pieces, encode, decode, args, rng):
    report = Report(name, args.show)
    texts = fixed_texts(args) + make.random_texts(rng, args.n, pieces, ["<|endoftext|>", "<s>", "</s>", "<unk>"])
    for text, (ids, _, back) in zip(texts, ours.encode(texts, False)):
        if report.check(text, "ids", ids, encode(text)) and "\ufffd" not in decode(ids):
            report.check(ids, "text", back, decode(ids).encode())
    return report.end()


def compare_file(path, args):
    rng = random.Random(args.seed)
    name = args.name or os.path.basename(path)
    if name == "tokenizer.json":
        name = "/".join(p for p in os.path.abspath(path).split("/")[-3:] if p != "models")
    ours = Ours(args.program, path, args.plugin)
    failures = 0
    if path.endswith(".tiktoken"):
        other = others.tiktoken(path)
        pieces = [b.decode("utf-8", "ignore") for b in other.token_byte_values()]
        return compare_library(name + ", tiktoken", ours, pieces, other.encode_ordinary, other.decode, args, rng)
    if path.endswith(".model"):
        other = others.sentencepiece(path)
        pieces = [other.id_to_piece(i) for i in range(other.vocab_size())]
        failures = compare_library(name + ", SentencePiece", ours, pieces, other.encode, other.decode, args, rng)
    tokenizer = others.hugging_face(path)
    if tokenizer is None:
        return failures
    if isinstance(tokenizer.model, models.Unigram):
        return failures + compare_saved(args.program, name + ", Hugging Face", tokenizer, args, rng)
    return failures + compare_hugging_face(name + ", Hugging Face", ours, tokenizer, args, rng)
