#!/usr/bin/env python3
"""Makes rope.golden: cosines and sines of RoPE's scaling forms at some positions, in double precision.

Usage: make_rope_golden.py OUTPUT     (needs torch and transformers; the numbers it made are committed)

The frequencies are computed here with numpy from the papers' formulas, and must agree with those of Hugging Face's
modeling_rope_utils.py (which are single precision) before anything is written. Lines of the file:
    form name n_rot base factor n_ctx_original low high beta_fast beta_slow attn_factor uses_factors
    value position pair cos sin          (times the magnitude; as many as there are)
Where uses_factors is 1, the angle of pair i is divided by 1 + i / 7.
"""
import math
import sys

import numpy as np
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

POSITIONS = [0, 1, 2, 63, 127, 128, 129, 255, 1000, 4095, 8192, 65537, 100000, 131071]


def plain(n_rot, base, **_):
    return base ** (-np.arange(0, n_rot, 2) / n_rot), 1.0


def linear(n_rot, base, factor, **_):
    return plain(n_rot, base)[0] / factor, 1.0


def llama3(n_rot, base, factor, n_ctx, low, high, **_):
    """Meta's llama-models, apply_scaling."""
    scaled = []
    for frequency in plain(n_rot, base)[0]:
        wavelength = 2 * math.pi / frequency
        if wavelength < n_ctx / high:
            scaled.append(frequency)
        elif wavelength > n_ctx / low:
            scaled.append(frequency / factor)
        else:
            smooth = (n_ctx / wavelength - low) / (high - low)
            scaled.append((1 - smooth) * frequency / factor + smooth * frequency)
    return np.array(scaled), 1.0


def yarn(n_rot, base, factor, n_ctx, fast, slow, attn, **_):
    """Peng et al. 2023: gamma(r) over the dimensions, with the bounds rounded outwards as their code has them."""
    def dimension(turns):
        return n_rot * math.log(n_ctx / (turns * 2 * math.pi)) / (2 * math.log(base))
    low, high = max(math.floor(dimension(fast)), 0), min(math.ceil(dimension(slow)), n_rot - 1)
    kept = 1 - np.clip((np.arange(n_rot // 2) - low) / ((high - low) or 0.001), 0, 1)
    frequency = plain(n_rot, base)[0]
    magnitude = 0.1 * math.log(factor) + 1 if factor > 1 else 1.0
    return frequency / factor * (1 - kept) + frequency * kept, magnitude * (attn or 1.0)


FORMS = {"none": plain, "linear": linear, "llama3": llama3, "yarn": yarn}
CASES = [
    ("none", dict(n_rot=64, base=10000.0)),
    ("none", dict(n_rot=128, base=1000000.0)),
    ("linear", dict(n_rot=80, base=10000.0, factor=4.0)),
    ("llama3", dict(n_rot=128, base=500000.0, factor=8.0, n_ctx=8192, low=1.0, high=4.0)),
    ("llama3", dict(n_rot=64, base=500000.0, factor=32.0, n_ctx=8192, low=1.0, high=4.0)),
    ("yarn", dict(n_rot=128, base=10000.0, factor=16.0, n_ctx=4096, fast=32.0, slow=1.0, attn=0.0)),
    ("yarn", dict(n_rot=64, base=1000000.0, factor=4.0, n_ctx=32768, fast=32.0, slow=1.0, attn=0.0)),
    ("yarn", dict(n_rot=96, base=10000.0, factor=2.5, n_ctx=2048, fast=16.0, slow=2.0, attn=1.25)),
    ("none", dict(n_rot=64, base=500000.0, factors=1)),
]


def check_with_transformers(form, case, frequency, magnitude):
    if form == "none":
        return
    rope = {"rope_type": form, "rope_theta": case["base"], "factor": case["factor"]}
    if form != "linear":
        rope["original_max_position_embeddings"] = case["n_ctx"]
    if form == "llama3":
        rope.update(low_freq_factor=case["low"], high_freq_factor=case["high"])
    if form == "yarn":
        rope.update(beta_fast=case["fast"], beta_slow=case["slow"])
    config = LlamaConfig(head_dim=case["n_rot"], hidden_size=case["n_rot"] * 2, num_attention_heads=2,
                         max_position_embeddings=131072, rope_parameters=rope)
    theirs, their_magnitude = ROPE_INIT_FUNCTIONS[form](config, None)
    np.testing.assert_allclose(frequency, theirs.double().numpy(), rtol=2e-6)
    np.testing.assert_allclose(magnitude / (case.get("attn") or 1.0), their_magnitude, rtol=1e-12)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lines = []
    for form, case in CASES:
        frequency, magnitude = FORMS[form](**case)
        check_with_transformers(form, case, frequency, magnitude)
        if case.get("factors"):
            frequency = frequency / (1 + np.arange(len(frequency)) / 7).astype(np.float32).astype(np.float64)
        lines.append("form {} {} {:g} {:g} {} {:g} {:g} {:g} {:g} {:g} {}".format(
            form, case["n_rot"], case["base"], case.get("factor", 1), case.get("n_ctx", 0), case.get("low", 0),
            case.get("high", 0), case.get("fast", 0), case.get("slow", 0), case.get("attn", 0),
            case.get("factors", 0)))
        for position in POSITIONS:
            for pair in sorted({0, 1, 5, len(frequency) // 4, len(frequency) // 2, len(frequency) * 3 // 4,
                                len(frequency) - 1}):
                angle = position * frequency[pair]
                lines.append("value {} {} {:.17g} {:.17g}".format(
                    position, pair, magnitude * math.cos(angle), magnitude * math.sin(angle)))
    with open(sys.argv[1], "w") as out:
        out.write("\n".join(lines) + "\n")
    print(f"{len(lines)} lines")


if __name__ == "__main__":
    main()
