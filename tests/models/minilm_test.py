"""all-MiniLM-L6-v2 against sentence-transformers' embeddings of 200 sentences.

    minilm_test.py PUMICE MODEL SENTENCES EMBEDDINGS DEVICE [COUNT]

The numbers are of tests/data/make_minilm_golden.py. Every embedding must be within 1e-4 of its own, and its cosine above
0.9999. COUNT: so many of the sentences, evenly spread.
"""
import json
import pathlib
import struct
import subprocess
import sys


def read_golden(path):
    data = path.read_bytes()
    n = struct.unpack_from("<Q", data)[0]
    info = json.loads(data[8:8 + n])["embeddings"]
    begin, end = info["data_offsets"]
    return struct.unpack_from(f"<{(end - begin) // 4}f", data, 8 + n + begin), info["shape"]


def main():
    pumice, model, sentences, golden, device = sys.argv[1:6]
    want, (n_all, width) = read_golden(pathlib.Path(golden))
    n = int(sys.argv[6]) if len(sys.argv) > 6 else n_all
    lines = pathlib.Path(sentences).read_bytes().splitlines(keepends=True)
    picked = [i * n_all // n for i in range(n)]
    out = subprocess.run([pumice, "embed", "--model", model, "--parse-special", "--format", "binary", "--device", device],
                         input=b"".join(lines[i] for i in picked), stdout=subprocess.PIPE, check=True).stdout
    got = struct.unpack(f"<{len(out) // 4}f", out)
    if len(lines) != n_all or len(got) != n * width:
        sys.exit(f"{len(lines)} sentences, {n_all} embeddings; {len(got)} numbers came instead of {n * width}")
    largest, cosine = 0.0, 1.0
    for k, i in enumerate(picked):
        a, b = got[k * width:(k + 1) * width], want[i * width:(i + 1) * width]
        largest = max(largest, max(abs(x - y) for x, y in zip(a, b)))
        cosine = min(cosine, sum(x * y for x, y in zip(a, b)))
    print(f"{n} sentences: largest difference {largest:.2g}, smallest cosine {cosine:.7f}")
    sys.exit(not (largest < 1e-4 and cosine > 0.9999))


if __name__ == "__main__":
    main()
