#!/usr/bin/env python3
"""Compares the perplexity that `pumice score` finds with an outside implementation's.

    perplexity_test.py PUMICE MODEL TEXT GOLDEN DEVICE [KV_TYPE]

The golden file has the outside implementation's mean log-probability of each window, taken with the same weights in
fp32; windows stand alone and their first token is not counted. The limit is 0.5 % of the perplexity.
"""
import json
import math
import subprocess
import sys

LIMIT = 0.005


def main():
    pumice, model, text, golden, device, *kv_type = sys.argv[1:]
    with open(golden, encoding="utf-8") as file:
        golden = json.load(file)
    window = golden["window"]
    n_windows = len(golden["mean_log_probs"])
    want = math.exp(-sum(golden["mean_log_probs"]) / n_windows)
    command = [pumice, "score", "--model", model, "--device", device, "--file", text, "--json", "--window", window,
               "--stride", window, "--max-tokens", n_windows * window]
    for name in kv_type:
        command += ["--kv-type", name]
    document = json.loads(subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True).stdout)
    if document["n_scored"] != n_windows * (window - 1):
        sys.exit(f"{document['n_scored']} tokens were scored, not {n_windows * (window - 1)}")
    got = document["perplexity"]
    print(f"perplexity of {n_windows * window} tokens on {' '.join([device, *kv_type])}: {got:.4f}, outside {want:.4f}, "
          f"apart {100 * (got / want - 1):+.3f} %")
    return abs(got / want - 1) > LIMIT


sys.exit(main())
