"""Texts to compare tokenizers on: languages, files, Unicode's own test data, every code point, and random mixes."""
import bz2
import pathlib

UNICODE_DATA = pathlib.Path("/usr/share/unicode")  # where distributions put it (Debian: package unicode-data)

SPACES = [" ", "  ", "\t", "\n", "\r", "\r\n", "\n\n", "\v", "\f", "\x1c", "\u0085", "\u00a0", "\u1680", "\u2000", "\u2003",
          "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff", "\u180e", "\u2581", "\u2581\u2581"]
MARKS = ["\u0301", "\u0323", "\u200d", "\u200c", "\ufe0f", "\u20e3", "\u202e", "\u2067", "\u0e31", "\u093f", "\u3099", "\u0345",
         "\u1161", "\u11a8", "\u0655", "\u05b0", "\u034f", "\U000e0101"]
EMOJI = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u2764\ufe0f",
         "\U0001f636\u200d\U0001f32b\ufe0f", "1\ufe0f\u20e3", "\U0001f999", "\U0001f3f4\U000e0067\U000e0062\U000e007f"]
CONTRACTIONS = ["'s", "'S", "'ll", "'Ll", "'re", "'VE", "'d", "'m", "'t", "''", "\u2019s", "'\u017f", "'x", "'l"]
WORDS = ["the", "of", "Hello", "World", "stra\u00dfe", "na\u00efve", "funci\u00f3n", "def __init__(self):", "\n    ", "\u541b\u306e\u540d\u306f",
         "\u043f\u0440\u0438\u0432\u0435\u0442", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd", "\uff8a\uff9f",
         "\ufb01nd", "don't", "unaffable", "x" * 101, "\u212b", "1,234.5", "#hashtag", "##ing", "e\u0301", "a\u0300\u0316"]
DIGITS = "0123456789\u0661\u00b2\u2167\u0967\uff13\u00bd"
SIGNS = "!-/:;<=>?@[]^_`{|}~$%&*().,\"#'\\+"
SCRIPTS = [(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x530), (0x530, 0x590), (0x590, 0x700), (0x700, 0x900), (0x900, 0xe00),
           (0xe00, 0x1000), (0x1000, 0x10a0), (0x10a0, 0x1400), (0x1400, 0x1e00), (0x1e00, 0x2000), (0x2000, 0x2c00),
           (0x2c00, 0x3000), (0x3000, 0x3200), (0x3200, 0x3400), (0x4e00, 0x4f00), (0xa000, 0xac00), (0xac00, 0xad00),
           (0xf900, 0x10000), (0x10000, 0x10500), (0x10500, 0x12000), (0x1d400, 0x1d800), (0x1f300, 0x1fb00),
           (0x20000, 0x20100), (0xe0000, 0xe0080)]


def character(c):
    return "" if 0xd800 <= c < 0xe000 else chr(c)


def random_part(rng, pieces, added):
    kind = rng.randrange(15)
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
        return "".join(rng.choice(DIGITS) for _ in range(rng.randint(1, 7)))
    if kind == 7:
        token = rng.choice(added)
        return rng.choice([token, token, token[:-1], token[1:], token + token[:3], " " + token + " ", token.lower()])
    if kind == 8:
        return character(rng.choice([rng.randrange(0x20), rng.randrange(0x7f, 0xa0)]))
    if kind == 9:
        return rng.choice(SIGNS) * rng.choice([1, 1, 2, 3, 20])
    if kind == 10:
        return rng.choice(["", " "]) + rng.choice(WORDS)
    return rng.choice(pieces).replace("\u2581", rng.choice([" ", " ", " ", ""]))


def random_texts(rng, n, pieces, added):
    """Mixes of everything, of up to 24 parts."""
    return ["".join(random_part(rng, pieces, added) for _ in range(rng.randint(0, 24))) for _ in range(n)]


def code_point_texts(every):
    """Every (each `every`-th) code point between letters, in texts of 48."""
    points = [c for c in range(0, 0x110000, every) if not 0xd800 <= c < 0xe000]
    return ["a".join(map(chr, points[i:i + 48])) for i in range(0, len(points), 48)]


def unicode_test_texts():
    """The strings of NormalizationTest.txt and GraphemeBreakTest.txt; none where they are not installed."""
    texts = []
    for name in ("NormalizationTest.txt", "auxiliary/GraphemeBreakTest.txt"):
        for path in (UNICODE_DATA / name, UNICODE_DATA / (name + ".bz2")):
            if path.exists():
                raw = bz2.decompress(path.read_bytes()) if path.suffix == ".bz2" else path.read_bytes()
                texts += test_strings(raw.decode())
    return texts


def test_strings(table):
    texts = []
    for line in table.splitlines():
        line = line.split("#")[0].strip()
        for field in line.split(";") if line and not line.startswith("@") else []:
            points = [int(p, 16) for p in field.replace("\u00f7", " ").replace("\u00d7", " ").split()]
            if points and not any(0xd800 <= p < 0xe000 for p in points):
                texts.append("".join(map(chr, points)))
    return texts


def language_texts():
    """Article 1 of the Universal Declaration of Human Rights in 139 languages."""
    table = pathlib.Path(__file__).parents[2] / "data" / "udhr.txt"
    return [line.split("\t", 1)[1] for line in table.read_text("utf-8").splitlines()]


def file_texts(paths):
    """Files, or all files below folders: whole if they are short, or cut at line ends into parts of about 4 KB."""
    texts = []
    for path in map(pathlib.Path, paths):
        for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
            part, size = [], 0
            for line in file.read_text("utf-8", "replace").splitlines(True):
                part.append(line)
                size += len(line)
                if size > 4000:
                    texts.append("".join(part))
                    part, size = [], 0
            texts.append("".join(part))
    return texts
