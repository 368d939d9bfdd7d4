#!/usr/bin/env python3
"""Encoding speed of pumice's tokenizers beside the implementations that they come from, in turn, as ratios.

    scripts/setup.sh --peers
    build/peers/bin/python bench/tokenizer_peers.py build/release/bin/pumice FILE... --text TEXT... [-o results.json]

FILE is a tokenizer.json (beside Hugging Face `tokenizers`), a SentencePiece .model (SentencePiece), a .tiktoken file
(tiktoken) or a GGUF file (what --command names). Texts are cut into documents of about 4 KiB at line ends and encoded as
one batch by all; what has no line ends stays whole. One thread each. In each of -r rounds, every implementation runs once
to warm up and once timed; figures are medians, in MB (10^6 bytes) a second.
--command 'NAME=PROGRAM {file} {text}' adds another implementation for GGUF files: a program that prints, last, the seconds
that it took to encode the text once.
"""
import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "tokenizers" / "peers"))
import others  # noqa: E402  (the same other sides as in the comparison of ids)


def documents(text):
    parts, part, size = [], [], 0
    for line in text.splitlines(True):
        part.append(line)
        size += len(line)
        if size > 4096:
            parts.append("".join(part))
            part, size = [], 0
    return parts + ["".join(part)] if part else parts


def timed(encode, batch):
    encode(batch)
    begin = time.perf_counter()
    encode(batch)
    return time.perf_counter() - begin


def libraries(path, args):
    """Functions that encode a batch, by name."""
    found = {}
    if path.endswith(".model"):
        sentencepiece = others.sentencepiece(path)
        found["sentencepiece"] = lambda batch: sentencepiece.encode(batch, num_threads=1)
    elif path.endswith(".tiktoken"):
        tiktoken = others.tiktoken(path)
        found["tiktoken"] = lambda batch: tiktoken.encode_ordinary_batch(batch, num_threads=1)
    if not path.endswith((".model", ".tiktoken", ".gguf")):
        tokenizer = others.hugging_face(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        found["tokenizers"] = lambda batch: tokenizer.encode_batch_fast(batch, add_special_tokens=False)
    return found


def ours(args, path, text):
    """Seconds, and the program's whole answer."""
    command = [args.pumice, "bench", "--tokenizers", path, "--text", text, "-t", "1", "-r", "1", "--json"]
    answer = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout)
    return answer["tokenizers"][0]["texts"][0]["encode"]["seconds"][0], answer


def by_command(command, path, text):
    words = [word.format(file=path, text=text) for word in shlex.split(command)]
    lines = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.split(b"\n")
    return float([line for line in lines if line.strip()][-1])


def measure(args, path, text):
    batch = documents(pathlib.Path(text).read_text("utf-8", "replace"))
    size = os.path.getsize(text)
    peers = libraries(path, args)
    commands = dict(c.split("=", 1) for c in args.command) if path.endswith(".gguf") else {}
    seconds = {name: [] for name in ["pumice", *peers, *commands]}
    for _ in range(args.rounds):
        took, answer = ours(args, path, text)
        seconds["pumice"].append(took)
        for name, encode in peers.items():
            seconds[name].append(timed(encode, batch))
        for name, command in commands.items():
            seconds[name].append(by_command(command, path, text))
    speed = {name: size / statistics.median(s) / 1e6 for name, s in seconds.items()}
    best = max((v for name, v in speed.items() if name != "pumice"), default=0)
    return {"file": name_of(path, args), "text": os.path.basename(text), "bytes": size, "MB_per_s": speed, "seconds": seconds,
            "ratio_to_fastest": speed["pumice"] / best if best else None, "machine": answer["machine"]}


def name_of(path, args):
    """tokenizer.json says little: the folder that it is in says more."""
    parts = [p for p in pathlib.Path(path).resolve().parts if p != "models"]
    return "/".join(parts[-2:]) if parts[-1] in ("tokenizer.json", "vocab.txt") else parts[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pumice", help="the program of an optimised build")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("--command", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    rows = []
    for path in args.files:
        for text in args.text:
            row = measure(args, path, text)
            rows.append(row)
            speed = "  ".join(f"{name} {v:.1f}" for name, v in row["MB_per_s"].items())
            ratio = f"  ratio {row['ratio_to_fastest']:.2f}" if row["ratio_to_fastest"] else ""
            print(f"{row['file']:36} {row['text']:14} {speed} MB/s{ratio}", flush=True)
    if args.output:
        document = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": rows[0].pop("machine"),
                    "rounds": args.rounds, "versions": versions(), "rows": rows}
        for row in rows:
            row.pop("machine", None)
        pathlib.Path(args.output).write_text(json.dumps(document, indent=1) + "\n")


def versions():
    from importlib.metadata import version
    return {name: version(name) for name in ("tokenizers", "tiktoken", "sentencepiece")}


if __name__ == "__main__":
    main()
