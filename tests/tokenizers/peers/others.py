"""The other side: the same tokenizer in the implementation that it comes from.

    tokenizer.json, vocab.txt   Hugging Face `tokenizers`
    *.gguf                      Hugging Face `tokenizers`, with the pre-tokenizer that the vocabulary's models came with
    *.model                     SentencePiece
    *.tiktoken                  tiktoken
"""
import base64
import os
import struct

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

# ---- Pre-tokenizers of GGUF vocabularies, as the models were released with ----

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

# tiktoken's names and patterns, https://github.com/openai/tiktoken, tiktoken_ext/openai_public.py.
RANK_PATTERNS = {
    "r50k_base": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "p50k_base": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    "cl100k_base": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$"
                   r"|\s*[\r\n]|\s+(?!\S)|\s",
    "o200k_base": r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                  r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
                  r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}

# ---- Reading files ----


def gguf_vocabulary(path):
    import gguf
    reader = gguf.GGUFReader(path)

    def value(key, default=None):
        field = reader.fields.get("tokenizer.ggml." + key)
        return default if field is None else field.contents()

    tokens = value("tokens")
    return {"model": value("model"), "pre": value("pre", "default"), "tokens": tokens,
            "types": value("token_type", [1] * len(tokens)), "scores": value("scores", []), "merges": value("merges", [])}


def varint(b, at):
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
        key, at = varint(b, at)
        if key & 7 == 0:
            value, at = varint(b, at)
        else:
            n, at = varint(b, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = b[at:at + n], at + n
        yield key >> 3, value


def sentencepiece_pieces(path):
    """Pieces (text, score, type), the trainer's and the normaliser's settings."""
    pieces, trainer, normalizer = [], {}, {}
    with open(path, "rb") as file:
        for field, value in protobuf_fields(file.read()):
            if field == 1:
                piece = dict(protobuf_fields(value))
                score, = struct.unpack("<f", piece.get(2, bytes(4)))
                pieces.append((piece[1].decode(), score, piece.get(3, 1)))
            elif field == 2:
                trainer = dict(protobuf_fields(value))
            elif field == 3:
                normalizer = dict(protobuf_fields(value))
    return pieces, trainer, normalizer


# ---- Making them ----


def add_gguf_tokens(tokenizer, v):
    for special in (False, True):
        added = [AddedToken(t, normalized=False, special=special) for t, kind in zip(v["tokens"], v["types"])
                 if kind == (3 if special else 4) or (special and kind == 2)]
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)(added)
    return tokenizer


def byte_level_of_gguf(v):
    """A byte-level BPE: the merges are those of the file."""
    vocab = {t: i for i, t in enumerate(v["tokens"])}
    merges = [tuple(m.split(" ")) for m in v["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=v["pre"] == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(PRE_TOKENIZERS[v["pre"]])
    tokenizer.decoder = decoders.ByteLevel()
    if v["pre"] in NORMALIZED:
        tokenizer.normalizer = normalizers.NFC()
    return add_gguf_tokens(tokenizer, v)


def sentencepiece_of_gguf(v):
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
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    return add_gguf_tokens(tokenizer, v)


def wordpiece(tokens):
    tokenizer = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token="[UNK]",
                                           max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens([t for t in tokens if t in ("[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]")])
    return tokenizer


def wordpiece_of_gguf(v):
    """GGUF marks the beginnings of words, BERT what goes on inside of them."""
    return wordpiece([t[1:] if t.startswith("\u2581") else t if t.startswith("[") and t.endswith("]") and len(t) > 2
                      else "##" + t for t in v["tokens"]])


def unigram_of_sentencepiece(pieces, trainer, normalizer):
    unk = next(i for i, p in enumerate(pieces) if p[2] == 2)
    tokenizer = Tokenizer(models.Unigram([p[:2] for p in pieces], unk, bool(trainer.get(35, 0))))
    steps = [normalizers.Precompiled(normalizer[2])] if normalizer.get(2) else []
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([p[0] for p in pieces if p[2] in (2, 3)])
    return tokenizer


def hugging_face(path):
    """A tokenizer of Hugging Face's for a file that it can be made for; None for the others."""
    if path.endswith(".gguf"):
        v = gguf_vocabulary(path)
        make = {"gpt2": byte_level_of_gguf, "llama": sentencepiece_of_gguf, "bert": wordpiece_of_gguf}
        return make[v["model"]](v)
    if path.endswith(".txt"):
        with open(path, encoding="utf-8") as file:
            return wordpiece(file.read().splitlines())
    if path.endswith(".model"):
        parts = sentencepiece_pieces(path)
        return unigram_of_sentencepiece(*parts) if parts[1].get(3, 1) == 1 else None
    return None if path.endswith(".tiktoken") else Tokenizer.from_file(path)


def sentencepiece(path):
    import sentencepiece as library
    return library.SentencePieceProcessor(path)


def tiktoken(path):
    import tiktoken as library
    name = os.path.basename(path).removesuffix(".tiktoken")
    with open(path, "rb") as file:
        ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in file if line.strip()}
    return library.Encoding(name, pat_str=RANK_PATTERNS[name], mergeable_ranks=ranks, special_tokens={})
