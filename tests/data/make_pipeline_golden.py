#!/usr/bin/env python3
"""Makes pipeline.golden: what Hugging Face's tokenizers (0.23) make of texts around the model.

    pip install tokenizers        (in a virtual environment)
    python3 tests/data/make_pipeline_golden.py > tests/data/pipeline.golden

Added tokens with all flags, post-processors, pairs, truncation and padding, on models of a few letters. A line each:

    {"tokenizer": {a tokenizer.json}}                               for the lines that follow
    {"text", "pair", "add", "special", "max", "strategy", "left", "ids", "spans", "types", "sequences"}
    {"texts", "padding": {...}, "rows": [{"ids", "mask", "types"}]}
    {"text", "error": 1, ...}                                       where the peer refuses

Spans are in bytes. They are left out (null) where the peer's cover part of a character.
"""
import json
import random

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

LETTERS = "abcdefgxyzABCXYZ <>/|sn_.\u00e9\u0301\u3000\u00a0\u2003\n\u200d\u00b2\u0663"
rng = random.Random(3)


def out(line):
    print(json.dumps(line, ensure_ascii=True, separators=(",", ":")))


def letters_bpe(**options):
    vocab = {c: i for i, c in enumerate(["[UNK]"] + sorted(set(LETTERS) - {"\u0663", "\u00e9"}))}
    merges = [("a", "b"), ("b", "c"), ("ab", "c"), ("<", "s"), (" ", " ")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    return Tokenizer(models.BPE(vocab, merges, unk_token="[UNK]", **options))


def byte_bpe():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {c: i for i, c in enumerate(alphabet)}
    merges = [("a", "b"), ("\u0120", "ab"), ("\u0120", "\u0120"), ("\u0120", "a"), ("\u0120\u0120", "\u0120"), ("a", "\u0120"),
              ("\u010a", "\u0120")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    return Tokenizer(models.BPE(vocab, merges))


def byte_offsets(text):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return at


def sequence_number(i):
    return 0 if i is None else i + 1


def encode(t, text, pair=None, add=True, special=True, trunc=None):
    """One line; `special`: special tokens in text are honoured."""
    t.encode_special_tokens = not special
    t.no_truncation()
    line = {"text": text, "pair": pair, "add": int(add), "special": int(special), "max": 0, "strategy": 0, "left": 0}
    if trunc:
        names = ["longest_first", "only_first", "only_second"]
        t.enable_truncation(trunc[0], strategy=names[trunc[1]], direction=["right", "left"][trunc[2]])
        line.update(max=trunc[0], strategy=trunc[1], left=trunc[2])
    try:
        e = t.encode(text, pair, add_special_tokens=add)
    except Exception:
        line["error"] = 1
        out(line)
        return
    except BaseException:  # the peer panics where a token's normalised form is empty: nothing to compare
        return
    maps = [byte_offsets(text), byte_offsets(pair or "")]
    spans = []
    for (a, b), s in zip(e.offsets, e.sequence_ids):
        where = maps[s or 0]
        spans.append([where[a], where[b]] if s is not None else [0, 0])
    line.update(ids=e.ids, spans=spans, types=e.type_ids, sequences=[sequence_number(s) for s in e.sequence_ids])
    out(line)


def tokenizer(t):
    out({"tokenizer": json.loads(t.to_str())})


def random_text(pieces, most):
    return "".join(rng.choice(pieces) for _ in range(rng.randint(0, most)))


# ---- Added tokens ----

def added_tokens():
    flags = ["lstrip", "rstrip", "single_word", "normalized"]
    contents = [" ", "<s>", "ab", "<s>x", "s>", "A", "a b", "<n>", " q", "\u00e9", "/s", "XYZ", "  ", "n\n"]
    spaces = [" ", "  ", "\n", "\u3000", "\u00a0", "\u2003"]
    others = ["a", "b", "x", ".", "_", "\u0301", "\u200d", "\u00b2", "\u0663", "<", "C", "xyz"]
    norms = [None, None, normalizers.Lowercase(), normalizers.NFD(), normalizers.Prepend("_"), normalizers.Strip(),
             normalizers.Replace(" ", "_")]
    pres = [None, None, pre_tokenizers.Whitespace(), pre_tokenizers.Split(" ", "merged_with_next")]
    for round_ in range(24):
        t = letters_bpe()
        if norms[round_ % len(norms)]:
            t.normalizer = norms[round_ % len(norms)]
        if pres[round_ % len(pres)]:
            t.pre_tokenizer = pres[round_ % len(pres)]
        chosen = rng.sample(contents, rng.randint(1, 6))
        for content in chosen:
            token = AddedToken(content, **{f: rng.random() < 0.35 for f in flags})
            if rng.random() < 0.4 and content not in ("ab", " ", "  ", "A"):  # what the model can make itself is not special
                t.add_special_tokens([token])
            else:
                t.add_tokens([token])
        tokenizer(t)
        for i in range(14):
            encode(t, random_text(chosen * 2 + spaces + others, 12), special=i % 2 == 0)


# ---- Post-processors ----

def post_processors():
    t = letters_bpe()
    t.add_special_tokens(["[CLS]", "[SEP]"])
    cls, sep = t.token_to_id("[CLS]"), t.token_to_id("[SEP]")
    named = [("[CLS]", cls), ("[SEP]", sep)]
    template = processors.TemplateProcessing
    kinds = [
        None,
        template(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=named),
        template(single="$A", pair="$B:2 [SEP]:7 $A:1", special_tokens=named),
        template(single="$A:3 [SEP]:4 [SEP]", pair="$A $B", special_tokens=named),
        template(single="two $0", pair="two $A two $B:1",
                 special_tokens=[{"id": "two", "ids": [cls, sep], "tokens": ["[CLS]", "[SEP]"]}]),
        processors.BertProcessing(("[SEP]", sep), ("[CLS]", cls)),
        processors.RobertaProcessing(("[SEP]", sep), ("[CLS]", cls), trim_offsets=False, add_prefix_space=False),
        processors.ByteLevel(trim_offsets=False),
        processors.Sequence([processors.ByteLevel(trim_offsets=False),
                             template(single="[CLS] $A", pair="$A [SEP] $B:1", special_tokens=named)]),
    ]
    for kind in kinds:
        if kind:
            t.post_processor = kind
        tokenizer(t)
        for add in (True, False):
            for text, pair in [("abc", None), ("", None), ("abc", "xy"), ("", "a"), ("a[SEP]b", ""), ("abcab", "xyz")]:
                encode(t, text, pair, add)


def trimmed_spans():
    for prefix in (True, False):
        for trims in (True, False):
            for kind in (processors.ByteLevel(add_prefix_space=trims, trim_offsets=True),
                         processors.RobertaProcessing(("a", 64), ("b", 65), trim_offsets=True, add_prefix_space=trims)):
                t = byte_bpe()
                t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)
                t.post_processor = kind
                t.add_tokens([AddedToken("<n>", lstrip=True, rstrip=True, normalized=False),
                              AddedToken(" q ", normalized=False), AddedToken("\u3000z", normalized=False)])
                tokenizer(t)
                for text in [" ab a  ab", "ab   a \n a", "   ", " ", "", "a <n>  b", "<n>", " \u3000<n>\u3000ab", "x q  q b", " q ",
                             "a\u3000z", "\u3000z ab"]:
                    encode(t, text, " ab" if len(text) % 3 == 0 else None)


# ---- Truncation and padding ----

def truncated():
    t = letters_bpe()
    t.add_special_tokens(["[CLS]", "[SEP]"])
    named = [("[CLS]", t.token_to_id("[CLS]")), ("[SEP]", t.token_to_id("[SEP]"))]
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                     special_tokens=named)
    tokenizer(t)
    pairs = [("xyzxyz", "gfe"), ("xy", "gfegfe"), ("xyz", "gfe"), ("xyzxyzxyz", "gfegfe"), ("", "gfe"), ("xyz", ""),
             ("xyzxyzx", None), ("", None)]
    for most in (3, 4, 5, 6, 8, 9):  # fewer than the special tokens: the peer then cuts nothing, and we refuse
        for text, pair in pairs:
            for strategy in range(3):
                encode(t, text, pair, trunc=(most, strategy, (most + strategy) % 2))
    for text, pair in pairs:
        encode(t, text, pair, add=False, trunc=(4, 0, 0))


def padded():
    t = Tokenizer(models.BPE({c: i for i, c in enumerate("xyzgfe")}, []))
    t.add_special_tokens(["[PAD]", "[CLS]"])
    pad, cls = t.token_to_id("[PAD]"), t.token_to_id("[CLS]")
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A", pair="[CLS] $A $B:1", special_tokens=[("[CLS]", cls)])
    t.encode_special_tokens = True
    texts = [["xyz", None], ["", None], ["x", "gfe"], ["xyzxyzxyzxyz", None], ["xyzxyz", "ggggggggg"]]
    for length in (None, 0, 5, 16):
        for multiple in (None, 1, 4, 7):
            for direction in ("right", "left"):
                for most in (0, 6):
                    t.no_truncation()
                    if most:
                        t.enable_truncation(most)
                    t.enable_padding(direction=direction, pad_id=pad, pad_type_id=3, pad_token="[PAD]", length=length,
                                     pad_to_multiple_of=multiple)
                    tokenizer(t)
                    encodings = t.encode_batch([x if x[1] is not None else x[0] for x in texts])
                    rows = [{"ids": e.ids, "mask": e.attention_mask, "types": e.type_ids,
                             "sequences": [sequence_number(s) for s in e.sequence_ids]} for e in encodings]
                    out({"texts": texts, "rows": rows})


added_tokens()
post_processors()
trimmed_spans()
truncated()
padded()
