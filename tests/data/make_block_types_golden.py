#!/usr/bin/env python3
"""Writes block_types.golden: bytes of every block type with the floats that the Python package `gguf` makes of them,
and floats with the bytes that it makes of those. tests/unit/test_block_types.c compares bit for bit.

    python3 -m venv venv && venv/bin/pip install gguf==0.19.0 && venv/bin/python make_block_types_golden.py

The file is a sequence of records, all numbers little-endian:
    u32 GGUF type number | u32 0 = dequantise, 1 = quantise | u32 n values | u32 n bytes | bytes | float32 values
"""
import os
import struct

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

TYPES = "F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K".split()
QUANTIZE = "F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1".split()
HALVES_AT = {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
# zero, -0, subnormals, smallest normal, one, largest, infinities, NaNs
HALVES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFE01]
EDGES = np.array([0.0, -0.0, 1e-45, -1e-40, 6.1e-5, 2.0**-25, 2.0**-24, 3 * 2.0**-25, 65504, 65519.99, 65520, -65536,
                  3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8,
                  0.1, -0.3, 2 - 2.0**-23, 2047.5, 1e-7, -1e-7, 3.0, 1 / 3, 255.75, -1.0, 5.9e-8], dtype=np.float32)


def blocks_of(name, block_bytes, rng):
    """Random blocks, then blocks of all zero and all one bits, then each special half in the place of the scale."""
    rows = [rng.integers(0, 256, block_bytes, dtype=np.uint8) for _ in range(4)]
    rows += [np.zeros(block_bytes, np.uint8), np.full(block_bytes, 255, np.uint8)]
    special = HALVES if block_bytes <= 34 else HALVES[:9]
    for i, half in enumerate(special):
        row = rng.integers(0, 256, block_bytes, dtype=np.uint8)
        at = HALVES_AT.get(name, [0])
        row[at[i % len(at)]:][:2] = np.array([half], np.uint16).view(np.uint8)
        rows.append(row)
    return np.concatenate(rows)


def floats_of(name, block_elems, rng):
    if block_elems == 1:
        return np.concatenate([EDGES, rng.standard_normal(64).astype(np.float32)])
    rows = [rng.standard_normal(block_elems) * scale for scale in (1, 1e-3, 1000, 1e-6, 1)]
    rows.append(np.zeros(block_elems))
    rows.append(np.full(block_elems, -2.5))
    rows.append(np.arange(block_elems) - block_elems / 2)  # exact halves between levels
    rows.append(np.abs(rng.standard_normal(block_elems)) + 5)
    return np.concatenate(rows).astype(np.float32)


def main():
    rng = np.random.default_rng(20250101)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "block_types.golden")
    with open(path, "wb") as out, np.errstate(all="ignore"):
        def record(qtype, direction, raw, values):
            out.write(struct.pack("<4I", int(qtype), direction, values.size, raw.size))
            out.write(raw.tobytes() + values.astype("<f4").tobytes())

        for name in TYPES:
            qtype = GGMLQuantizationType[name]
            block_elems, block_bytes = GGML_QUANT_SIZES[qtype]
            raw = np.arange(0, 65536, 37, dtype=np.uint16).view(np.uint8) if block_elems == 1 else \
                blocks_of(name, block_bytes, rng)
            record(qtype, 0, raw, dequantize(raw.reshape(1, -1), qtype).ravel())
            if name in QUANTIZE:
                values = floats_of(name, block_elems, rng)
                record(qtype, 1, quantize(values.reshape(1, -1), qtype).view(np.uint8).ravel(), values)


if __name__ == "__main__":
    main()
