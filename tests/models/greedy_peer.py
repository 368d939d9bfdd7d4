#!/usr/bin/env python3
"""Greedy text of pumice and of llama.cpp on the same file, token by token.

A server of llama.cpp answers ten prompts greedily, with the two most probable tokens at every step. pumice is fed the same
tokens on a device and, for exact arithmetic, on the reference backend. Printed for each prompt: whether the texts are the
same, or the first step at which they part, with the margin there: by how much log-probability the peer, pumice, and exact
arithmetic prefer the peer's token to pumice's. After that, how far both sides are from exact arithmetic in the log-probabilities
of the two most probable tokens at all steps. KV caches are F32.

    tests/models/greedy_peer.py --llama-server ~/llama.cpp/build/bin/llama-server model.gguf

A text that parts where exact arithmetic itself has a near-tie is no error of either: one where the margin is below twice
what rounding puts between the margins of the two sides at all steps (root mean square). The exit status is 1 where a text
parts elsewhere.

Both round activations to 8 bits on a CPU where weights have blocks. What is left without that shows when the peer gets the same
weights in F32 (llama-quantize --allow-requantize model.gguf f32.gguf F32) and pumice runs on a device that rounds nothing:

    tests/models/greedy_peer.py --llama-server ... --peer-model f32.gguf --device reference model.gguf

--save keeps the peer's answers, and --beside compares them with an earlier run of the peer in place of pumice: what one
program's text differs by between two instruction sets.
"""
import argparse
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

PROMPTS = ["The capital of France is", "Once upon a time there was a little", "def fibonacci(n):", "Water boils at a temperature of",
           "In 1969, the first man", "The three primary colours are", "Photosynthesis is the process by which",
           "List of planets in order from the sun:", "My favourite recipe for pancakes: take", "Es war einmal"]
NEAR = 2  # times the root mean square of what rounding moves
N_PROBS = 10


@contextmanager
def server(options):
    """The address of a running llama-server."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    program = Path(options.llama_server).resolve()
    env = {**os.environ, **dict(pair.split("=", 1) for pair in options.peer_env)}
    command = [program, "-m", Path(options.peer_model or options.model).resolve(), "-c", "1024", "-np", "1", "-t", str(options.threads), "-ctk", "f32", "-ctv",
               "f32", "-fa", "off", "--no-warmup", "--host", "127.0.0.1", "--port", str(port), *options.peer_arg]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=program.parent)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    urllib.request.urlopen(address + "/health", timeout=5).read()
                    break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    if process.poll() is not None:
                        log.seek(0)
                        sys.exit("llama-server failed: " + log.read().decode(errors="replace")[-2000:])
                    time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait()


def ask(address, path, **body):
    request = urllib.request.Request(address + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=1800))


def answer(address, prompt, n):
    """A case of a golden file (greedy_test.c); a step goes on with the next tokens: token, log-probability, token, ..."""
    ids = ask(address, "/tokenize", content=prompt, add_special=True)["tokens"]
    got = ask(address, "/completion", prompt=ids, n_predict=n, temperature=0, samplers=["temperature"], n_probs=N_PROBS,
              cache_prompt=False)
    steps = [[x for top in token["top_logprobs"] for x in (top["id"], top["logprob"])] for token in got["completion_probabilities"]]
    return {"prompt": prompt, "prompt_ids": ids, "text": got["content"], "steps": steps}


def ours(options, cases, device):
    """For each case and step: [token, its log-probability, those of the peer's token and of the peer's runner-up]."""
    with tempfile.TemporaryDirectory() as folder:
        golden, out = Path(folder, "golden.json"), Path(folder, "out.json")
        golden.write_text(json.dumps({"cases": cases}))
        done = subprocess.run([options.greedy_test, "--device", device, "--threads", str(options.threads), "--kv-f32", "--out", out,
                               options.model, golden], capture_output=True, text=True)
        if not out.exists():
            sys.exit(done.stderr)
        return json.loads(out.read_text())


def beside(cases, others):
    """As ours, of another run of the peer, up to where the texts part: from there on it had other tokens before it."""
    rows = []
    for case, other in zip(cases, others):
        rows.append([])
        for s, o in zip(case["steps"], other["steps"]):
            row = [o[0], o[1], log_prob(o, s[0]), log_prob(o, s[2])]
            if None not in row:
                rows[-1].append(row)
            if s[0] != o[0]:
                break
    return rows


def log_prob(step, token):
    return next((step[i + 1] for i in range(0, len(step), 2) if step[i] == token), None)


def with_rivals(cases, rows_of):
    """The cases, with the token that was chosen here as the runner-up where a text parts."""
    changed = []
    for case, rows in zip(cases, rows_of):
        steps, at = list(case["steps"]), first_difference(case, rows)
        if at is not None:
            rival = rows[at][0]
            theirs = log_prob(steps[at], rival)
            steps[at] = [*steps[at][:2], rival, theirs if theirs is not None else steps[at][-1]]
        changed.append({**case, "steps": steps})
    return changed


def first_difference(case, rows):
    return next((i for i, (s, r) in enumerate(zip(case["steps"], rows)) if s[0] != r[0]), None)


def mean(values):
    return sum(values) / len(values)


def root_mean_square(values):
    return math.sqrt(mean([v * v for v in values]))


def compare(cases, exact, rows_of, side):
    """Prints a line a prompt and the summary. Returns how many texts part elsewhere than at a near-tie."""
    steps = [(s, r, t) for c, rows, truth in zip(cases, rows_of, exact) for s, r, t in zip(c["steps"], rows, truth)]
    peer_errors = [abs(a - b) for s, _, t in steps for a, b in ((s[1], t[2]), (s[3], t[3]))]
    our_errors = [abs(a - b) for _, r, t in steps for a, b in ((r[2], t[2]), (r[3], t[3]))]
    peer_moves = [(s[1] - s[3]) - (t[2] - t[3]) for s, _, t in steps]
    our_moves = [(r[2] - r[3]) - (t[2] - t[3]) for _, r, t in steps]
    moved = math.hypot(root_mean_square(peer_moves), root_mean_square(our_moves))
    same = wrong = 0
    for case, truth, rows in zip(cases, exact, rows_of):
        at = first_difference(case, rows)
        if at is None:
            same += 1
            print(f"{case['prompt']!r}: same, {len(case['steps'])} tokens")
            continue
        s, r, t = case["steps"][at], rows[at], truth[at]
        near = abs(t[2] - t[3]) <= NEAR * moved
        wrong += not near
        print(f"{case['prompt']!r}: part at token {at + 1} of {len(case['steps'])}; peer {s[1] - s[3]:+.4f}, {side} {r[2] - r[3]:+.4f}, "
              f"exactly {t[2] - t[3]:+.4f}{': a near-tie' if near else ': NO NEAR-TIE'}")
    print(f"{same} of {len(cases)} the same. Log-probabilities differ from exact ones by {mean(peer_errors):.5f} (peer) and "
          f"{mean(our_errors):.5f} ({side}) on average; margins of the two sides differ by {moved:.4f} (root mean square): "
          f"a near-tie is below {NEAR * moved:.4f}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--llama-server", metavar="PATH")
    parser.add_argument("--peer-model", metavar="FILE", help="what the peer gets in place of the model: its weights in F32, say")
    parser.add_argument("--golden", metavar="FILE", help="answers that --save kept, in place of a server's")
    parser.add_argument("--greedy-test", default="build/release/bin/greedy_test", metavar="PATH")
    parser.add_argument("--device", "-d", default="cpu", help="of pumice (default: cpu)")
    parser.add_argument("--threads", "-t", type=int, default=os.cpu_count())
    parser.add_argument("-n", type=int, default=64, help="tokens of an answer (default: 64)")
    parser.add_argument("--prompts", metavar="FILE", help="prompts of your own, one a line")
    parser.add_argument("--save", metavar="FILE", help="keep the peer's answers")
    parser.add_argument("--beside", metavar="FILE", help="compare with answers that --save kept, in place of pumice's")
    parser.add_argument("--peer-arg", action="append", default=[], metavar="ARG", help="further argument of llama-server")
    parser.add_argument("--peer-env", action="append", default=[], metavar="NAME=VALUE", help="into its environment")
    options = parser.parse_args()
    if bool(options.llama_server) == bool(options.golden):
        parser.error("one of --llama-server and --golden says where the peer's answers come from")
    prompts = Path(options.prompts).read_text().splitlines() if options.prompts else PROMPTS
    if options.golden:
        cases = json.loads(Path(options.golden).read_text())["cases"]
    else:
        with server(options) as address:
            cases = [answer(address, prompt, options.n) for prompt in prompts]
    if options.save:
        Path(options.save).write_text(json.dumps({"model": Path(options.model).name, "cases": cases}))
    if options.beside:
        others, side = json.loads(Path(options.beside).read_text())["cases"], "other run"
        cases = with_rivals(cases, beside(cases, others))
        rows = beside(cases, others)
    else:
        side = f"pumice {options.device}"
        cases = with_rivals(cases, ours(options, cases, options.device))
        rows = ours(options, cases, options.device)
    sys.exit(1 if compare(cases, ours(options, cases, "reference"), rows, side) else 0)


if __name__ == "__main__":
    main()
