#!/usr/bin/env python3
"""`pumice bench` and llama.cpp's `llama-bench` on the same files, in turn, round after round; medians and ratios.

A machine whose speed drifts, or that others use, favours neither: each round runs both, and the ratio is the median of the
rounds' ratios. Also measured each round, as whole processes: the time to the first token of a short prompt, and the peak of
memory. With --batched, llama-batched-bench beside `pumice bench --batches`.

    bench/llama_peer.py --llama-bench ~/llama.cpp/build/bin/llama-bench -t 2 model-q4_0.gguf model-q8_0.gguf -o beside.json
    bench/llama_peer.py --llama-bench ... --device vulkan --peer-arg=-ngl --peer-arg=99 -p 64 -n 16 --rounds 3 model.gguf

Models for it: pumice synth, pumice convert, pumice pull. The file that -o names can be given to `pumice bench --report`.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

SCHEMA = 2
PROMPT = "a b c d e f g h"  # short for any tokenizer


def run(command, env=None, cwd=None):
    """Standard output, seconds, and the peak of memory in bytes. Ends the program where the command fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\nfailed with status {process.returncode}: "
                     f"{err.read().decode(errors='replace')[-2000:]}")
        return out.read().decode(), seconds, usage.ru_maxrss * 1024


class Ours:
    def __init__(self, options):
        self.o = options

    def rates(self, model):
        """{test: (tokens a second, limit)}"""
        o = self.o
        out, _, _ = run([o.pumice, "bench", "--model", model, "--device", o.device, "--threads", str(o.threads), "--quick",
                         "-r", "1", "--budget", "0", "--verify", "0", "-p", o.prompts, "--depths", o.depths, "-b", o.batches,
                         "-n", str(o.decode), "--json"])
        self.device = json.loads(out)["devices"][0]
        return {r["name"]: (r["tokens_per_s"], r.get("limit_tokens_per_s")) for r in self.device["rates"]}

    def start(self, model):
        _, seconds, memory = run([self.o.pumice, "run", "--model", model, "--device", self.o.device, "--threads",
                                  str(self.o.threads), "--raw", "-n", "1", "--prompt", PROMPT])
        return seconds, memory


class Peer:
    def __init__(self, options):
        self.o = options
        self.env = {**os.environ, **dict(pair.split("=", 1) for pair in options.peer_env)}

    def bench(self, model, *arguments):
        o = self.o
        program = Path(o.llama_bench).resolve()
        return run([program, "-m", model, "-t", str(o.threads), *arguments, "-r", "1", "-o", "jsonl", *o.peer_arg], self.env,
                   program.parent)

    def rates(self, model):
        found = {}
        out, _, _ = self.bench(model, "-p", self.o.prompts, "-n", "0")
        out += self.bench(model, "-p", "0", "-n", str(self.o.decode), "-d", self.o.depths)[0]
        for line in out.splitlines():
            if line.startswith("{"):
                r = json.loads(line)
                depth = f"@{r['n_depth']}" if r.get("n_depth") else ""
                name = f"pp{r['n_prompt']}" if r["n_prompt"] else f"tg{r['n_gen']}{depth}"
                found[name] = (r["avg_ts"], None)
                self.build = r.get("build_commit", "?")
        if self.o.batched:
            found.update(self.batched(model))
        return found

    def batched(self, model):
        """S_TG of llama-batched-bench's table: | PP | TG | B | N_KV | T_PP | S_PP | T_TG | S_TG | ..."""
        program = Path(self.o.batched).resolve()
        n = max(map(int, self.o.batches.split(",")))
        out, _, _ = run([program, "-m", model, "-t", str(self.o.threads), "-c", str(n * (self.o.decode + 16)), "-npp", "8",
                         "-ntg", str(self.o.decode), "-npl", self.o.batches, *self.o.peer_arg], self.env, program.parent)
        found = {}
        for line in out.splitlines():
            cells = [c.strip() for c in line.strip("| \n").split("|")]
            if len(cells) >= 8 and re.fullmatch(r"\d+", cells[0]) and int(cells[2]) > 1:
                found[f"tg{cells[1]}x{cells[2]}"] = (float(cells[7]), None)
        return found

    def start(self, model):
        _, seconds, memory = self.bench(model, "-p", "8", "-n", "0", "--no-warmup")
        return seconds, memory


def measure(model, options, ours, peer):
    rounds = []
    for i in range(options.rounds):
        print(f"{Path(model).name}: round {i + 1} of {options.rounds}", file=sys.stderr)
        sides = [ours, peer] if i % 2 == 0 else [peer, ours]
        results = {side: (side.rates(model), side.start(model)) for side in sides}
        rounds.append((results[ours], results[peer]))
    tests = [t for t in rounds[0][0][0] if all(t in r[0][0] and t in r[1][0] for r in rounds)]
    name = Path(model).stem
    rows = []

    def row(test, unit, mine, theirs, **more):
        ratios = [a / b for a, b in zip(mine, theirs)]
        rows.append({"model": name, "device": options.device, "test": test, "unit": unit, "pumice": mine, "peer": theirs,
                     "pumice_median": statistics.median(mine), "peer_median": statistics.median(theirs),
                     "ratio": round(statistics.median(ratios), 3), **more})

    for test in tests:
        limits = [r[0][0][test][1] for r in rounds if r[0][0][test][1]]
        row(test, "tokens/s", [r[0][0][test][0] for r in rounds], [r[1][0][test][0] for r in rounds],
            **({"limit_tokens_per_s": statistics.median(limits)} if limits else {}))
    row("first token", "s", [r[0][1][0] for r in rounds], [r[1][1][0] for r in rounds])
    row("peak memory", "bytes", [r[0][1][1] for r in rounds], [r[1][1][1] for r in rounds])
    return rows


def processor():
    try:
        names = re.findall(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return f"{names[0] if names else '?'}, {os.cpu_count()} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="GGUF files")
    parser.add_argument("--pumice", default="build/release/bin/pumice")
    parser.add_argument("--llama-bench", required=True, metavar="PATH")
    parser.add_argument("--batched", metavar="PATH", help="llama-batched-bench, for --batches")
    parser.add_argument("--device", "-d", default="cpu", help="of pumice (default: cpu)")
    parser.add_argument("--peer-arg", action="append", default=[], metavar="ARG", help="further argument of the peer's programs")
    parser.add_argument("--peer-env", action="append", default=[], metavar="NAME=VALUE", help="into the peer's environment")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", "-t", type=int, default=os.cpu_count())
    parser.add_argument("--prompts", "-p", default="64,512")
    parser.add_argument("--depths", default="0")
    parser.add_argument("--batches", "-b", default="1")
    parser.add_argument("--decode", "-n", type=int, default=128)
    parser.add_argument("--name", default="llama.cpp", help="of the peer and its version, for the document")
    parser.add_argument("--output", "-o", help="JSON file; rows of another file of this kind that is there already are kept, but "
                        "for those of the same model, device and test")
    options = parser.parse_args()
    ours, peer = Ours(options), Peer(options)
    rows = [row for model in options.models for row in measure(str(Path(model).resolve()), options, ours, peer)]
    for r in rows:
        print(f"{r['model']:32} {r['device']:8} {r['test']:12} {r['pumice_median']:14.5g} {r['peer_median']:14.5g} "
              f"{r['unit']:9} ratio {r['ratio']:.2f}")
    if not options.output:
        return
    document = {"schema": SCHEMA, "date": date.today().isoformat(), "peer": options.name, "peer_build": peer.build,
                "machine": processor(),
                "method": "rounds of pumice bench and llama-bench in turn, the first one alternating; ratio: median of the rounds' "
                          "ratios, pumice over peer (for times and memory less is better); first token and peak memory are of whole "
                          "processes with a short prompt; limit: by the ceilings that pumice bench measured",
                "rows": rows}
    path = Path(options.output)
    if path.exists():
        new = {(r["model"], r["device"], r["test"]) for r in rows}
        kept = [r for r in json.loads(path.read_text())["rows"] if (r["model"], r["device"], r["test"]) not in new]
        document["rows"] = kept + rows
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
