#!/usr/bin/env python3
"""Makes op.golden: a few cases of every op with results from PyTorch and transformers, computed in double.

Usage: make_op_golden.py OUTPUT     (needs torch and transformers; the numbers it made are committed)

File: "PMOPGLD1", then cases until the end, little-endian:
    char op[16], name[48]; i32 ints[4]; f32 floats[6]; u32 n_tensors, 0; f64 limit (normalised mean squared error)
    tensors: u32 role (0 weight, 1 input, 2 state, 3 expected), GGUF type, n_dims, dims[4]; data
dims are innermost first. Tensors come in the order of the op's arguments; ints and floats as tests/ops/op_golden.c
reads them.
"""
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F
from transformers.generation.logits_process import (
    MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper,
    TopPLogitsWarper)
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, repeat_kv

WEIGHT, INPUT, STATE, EXPECTED = range(4)
TYPES = {"f32": (0, np.float32), "f16": (1, np.float16), "bf16": (30, None), "i32": (26, np.int32)}
FINE = 128  # PM_ROPE_FINE

random = np.random.default_rng(20)
torch.set_default_dtype(torch.float64)


def normal(*shape):
    """Numbers that a float holds exactly, outermost dimension first, as double."""
    return torch.from_numpy(random.standard_normal(shape).astype(np.float32).astype(np.float64))


def rounded(x, kind):
    return x.to({"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[kind]).double()


class File:
    def __init__(self, path):
        self.file = open(path, "wb")
        self.file.write(b"PMOPGLD1")
        self.n = 0

    def tensor(self, role, kind, x):
        x = torch.as_tensor(x)
        number, dtype = TYPES[kind]
        dims = list(reversed(x.shape)) + [1] * (4 - x.dim())
        self.file.write(struct.pack("<7I", role, number, x.dim(), *dims))
        if kind == "bf16":
            self.file.write(x.to(torch.bfloat16).view(torch.int16).numpy().tobytes())
        else:
            self.file.write(x.numpy().astype(dtype).tobytes())

    def case(self, op, name, tensors, expected, limit, ints=(), floats=(), kind="f32"):
        ints, floats = (list(ints) + [0] * 4)[:4], (list(floats) + [0.0] * 6)[:6]
        self.file.write(struct.pack("<16s48s4I6fI4xd", op.encode(), name.encode(),
                                    *[i & 0xFFFFFFFF for i in ints], *floats, len(tensors) + 1, limit))
        for role, tensor_kind, x in tensors:
            self.tensor(role, tensor_kind, x)
        self.tensor(EXPECTED, kind, expected)
        self.n += 1


def embedding(out):
    for kind in ("f32", "f16", "bf16"):
        table, ids = rounded(normal(9, 13), kind), torch.tensor([8, 0, 3, 3, 7])
        out.case("embedding", f"golden {kind}", [(WEIGHT, kind, table), (INPUT, "i32", ids)],
                 F.embedding(ids, table), 0)


def matmul(out):
    for kind, with_bias, with_residual in (("f32", 0, 0), ("f32", 1, 1), ("f16", 1, 0), ("bf16", 0, 1)):
        w, x = rounded(normal(7, 37), kind), normal(5, 37)
        bias, residual = normal(7), normal(5, 7)
        y = F.linear(x, w, bias if with_bias else None) + (residual if with_residual else 0)
        tensors = [(WEIGHT, kind, w), (INPUT, "f32", x)]
        tensors += [(WEIGHT, "f32", bias)] * with_bias + [(INPUT, "f32", residual)] * with_residual
        out.case("matmul", f"golden {kind} bias={with_bias} residual={with_residual}", tensors, y,
                 1e-11 if kind == "f32" else 1e-6, ints=(with_bias, with_residual))


def rms_norm(out):
    for n, eps in ((33, 1e-5), (64, 1e-6)):
        x, w = normal(4, n), normal(n)
        eps = float(np.float32(eps))
        out.case("rms_norm", f"golden {n}", [(INPUT, "f32", x)], F.rms_norm(x, (n,), None, eps), 1e-12,
                 floats=(eps,))
        out.case("rms_norm", f"golden {n} weight", [(INPUT, "f32", x), (WEIGHT, "f32", w)],
                 F.rms_norm(x, (n,), w, eps), 1e-12, floats=(eps,))


def rope_table(inv_freq, n_positions):
    coarse = np.arange((n_positions + FINE - 1) // FINE) * FINE
    positions = np.concatenate([np.arange(FINE), coarse])
    angles = torch.from_numpy(positions)[:, None] * inv_freq[None]
    return torch.stack([angles.cos(), angles.sin()], -1)


def rope(out):
    for d, n_rot, positions in ((16, 16, [0, 1, 5, 127, 128, 3000]), (20, 12, [77, 4095, 9, 9, 0, 1])):
        inv_freq = 10000.0 ** (-torch.arange(0, n_rot, 2) / n_rot)
        x, p = normal(6, 3, d), torch.tensor(positions)
        angles = p[:, None].double() * inv_freq[None]
        both = torch.cat([angles, angles], -1)
        # Hugging Face: pairs (i, i + n_rot/2); [batch, heads, T, d]
        heads = x[None, :, :, :n_rot].transpose(1, 2)
        q, _ = apply_rotary_pos_emb(heads, heads, both.cos()[None], both.sin()[None])
        halves = torch.cat([q[0].transpose(0, 1), x[:, :, n_rot:]], -1)
        # Meta's own code: pairs (2i, 2i + 1) as complex numbers, turned
        pairs = torch.view_as_complex(x[:, :, :n_rot].reshape(6, 3, -1, 2).contiguous())
        turned = torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)[:, None]).flatten(2)
        interleaved = torch.cat([turned, x[:, :, n_rot:]], -1)
        tensors = [(INPUT, "f32", x), (INPUT, "i32", p), (WEIGHT, "f32", rope_table(inv_freq, 4096))]
        # The table's entries are floats: 2^-24 each, and two of them make an angle.
        out.case("rope", f"golden d={d} n_rot={n_rot} halves", tensors, halves, 1e-12, ints=(n_rot, 0))
        out.case("rope", f"golden d={d} n_rot={n_rot} interleaved", tensors, interleaved, 1e-12, ints=(n_rot, 1))


def kv_store(out):
    for kind in ("f32", "f16"):
        cache, rows, positions = rounded(normal(2, 11, 5), kind), normal(3, 2, 5), torch.tensor([4, 10, 0])
        after = cache.clone()
        after[:, positions] = rows.transpose(0, 1)
        out.case("kv_store", f"golden {kind}",
                 [(STATE, kind, cache), (INPUT, "f32", rows), (INPUT, "i32", positions)],
                 after, 0 if kind == "f32" else 1e-6, ints=(0, 11), kind=kind)


def attention(out):
    for kind, heads, kv_heads, d, window in (("f32", 3, 3, 8, 0), ("f32", 6, 2, 17, 0), ("f16", 4, 1, 16, 0),
                                             ("f32", 4, 2, 12, 5)):
        ctx, positions = 20, torch.tensor([0, 7, 19, 3, 12])
        q = normal(5, heads, d)
        k, v = rounded(normal(kv_heads, ctx, d), kind), rounded(normal(kv_heads, ctx, d), kind)
        slots = torch.arange(ctx)
        mask = slots[None] <= positions[:, None]
        if window:
            mask &= slots[None] > positions[:, None] - window
        scale = float(np.float32(d ** -0.5))
        y = F.scaled_dot_product_attention(q.transpose(0, 1)[None], repeat_kv(k[None], heads // kv_heads),
                                           repeat_kv(v[None], heads // kv_heads), attn_mask=mask, scale=scale)
        out.case("attention", f"golden {kind} h={heads}/{kv_heads} d={d} window={window}",
                 [(INPUT, "f32", q), (STATE, kind, k), (STATE, kind, v), (INPUT, "i32", positions)],
                 y[0].transpose(0, 1), 1e-10 if kind == "f32" else 1e-6, ints=(window, 20), floats=(scale,))


def elementwise(out):
    x, y, row = normal(3, 29) * 4, normal(3, 29), normal(29)
    out.case("softmax", "golden", [(INPUT, "f32", x)], F.softmax(x, -1), 1e-10)
    out.case("silu", "golden", [(INPUT, "f32", x)], F.silu(x), 1e-11)
    out.case("swiglu", "golden", [(INPUT, "f32", x), (INPUT, "f32", y)], F.silu(x) * y, 1e-11)
    # The reference adds floats, as IEEE does: one rounding.
    out.case("add", "golden", [(INPUT, "f32", x), (INPUT, "f32", y)], x + y, 0)
    out.case("add", "golden row", [(INPUT, "f32", x), (INPUT, "f32", row)], x + row, 0)


def choice(out):
    logits, history = normal(2, 50) * 3, torch.tensor([3, 49, 3, 0, 17, 17, 21, 8])
    used = history[:6]
    penalty = float(np.float32(1.3))
    penalised = RepetitionPenaltyLogitsProcessor(penalty)(torch.stack([used, used]), logits.clone())
    out.case("repeat_penalty", "golden", [(INPUT, "f32", logits), (INPUT, "i32", history)], penalised, 1e-12,
             ints=(6,), floats=(penalty,))
    out.case("argmax", "golden", [(INPUT, "f32", logits)], logits.argmax(-1), 0, kind="i32")


def hash3(x, y, z):
    """pcg3d of Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9:3, 2020; its first number."""
    m = 0xFFFFFFFF
    x, y, z = [(a * 1664525 + 1013904223) & m for a in (x, y, z)]
    x = (x + y * z) & m
    y = (y + z * x) & m
    z = (z + x * y) & m
    x, y, z = x ^ x >> 16, y ^ y >> 16, z ^ z >> 16
    return (x + y * z) & m


def sample(out):
    """Hugging Face's warpers in our order, then the walk along the running sum."""
    for i, (temperature, top_k, top_p, min_p) in enumerate([
            (1.0, 0, 1.0, 0.0), (0.7, 12, 1.0, 0.0), (1.0, 0, 0.8, 0.0), (1.5, 0, 1.0, 0.1),
            (0.8, 30, 0.9, 0.05)]):
        temperature, top_p, min_p = [float(np.float32(v)) for v in (temperature, top_p, min_p)]
        logits = normal(16, 60) * 2
        seed_lo, seed_hi, draw = 12345 + i, 99, 1000 * i
        scores = logits.clone()
        if top_k:
            scores = TopKLogitsWarper(top_k)(None, scores)
        if top_p < 1:
            scores = TopPLogitsWarper(top_p)(None, scores)
        if min_p > 0:
            scores = MinPLogitsWarper(min_p)(None, scores)
        scores = TemperatureLogitsWarper(temperature)(None, scores)
        running = F.softmax(scores, -1).cumsum(-1)
        u = torch.tensor([(hash3(seed_lo, seed_hi, draw + row) >> 8) / 2 ** 24 for row in range(16)])
        ids = (running <= u[:, None] * running[:, -1:]).sum(-1)
        out.case("sample", f"golden temp={temperature:g} k={top_k} p={top_p:g} min_p={min_p:g}",
                 [(INPUT, "f32", logits)], ids, 0, ints=(top_k, seed_lo, seed_hi, draw),
                 floats=(temperature, top_p, min_p), kind="i32")


def layer_norm(out):
    for n, eps in ((33, 1e-5), (64, 1e-12)):
        x, w, b = normal(4, n) + 3, normal(n), normal(n)
        eps = float(np.float32(eps))
        out.case("layer_norm", f"golden {n}", [(INPUT, "f32", x)], F.layer_norm(x, (n,), None, None, eps), 1e-12,
                 floats=(eps,))
        out.case("layer_norm", f"golden {n} weight, bias", [(INPUT, "f32", x), (WEIGHT, "f32", w), (WEIGHT, "f32", b)],
                 F.layer_norm(x, (n,), w, b, eps), 1e-12, floats=(eps,))


def activations(out):
    x, y = normal(3, 29) * 4, normal(3, 29)
    out.case("gelu", "golden erf", [(INPUT, "f32", x)], F.gelu(x), 1e-11, ints=(0,))
    out.case("gelu", "golden tanh", [(INPUT, "f32", x)], F.gelu(x, approximate="tanh"), 1e-11, ints=(1,))
    out.case("relu", "golden", [(INPUT, "f32", x)], F.relu(x), 0)
    out.case("tanh", "golden", [(INPUT, "f32", x)], torch.tanh(x), 1e-11, floats=(1,))
    out.case("tanh", "golden soft cap", [(INPUT, "f32", x)], 5 * torch.tanh(x / 5), 1e-11, floats=(5,))
    out.case("scale", "golden", [(INPUT, "f32", x)], x * 0.375, 0, floats=(0.375,))
    out.case("mul", "golden", [(INPUT, "f32", x), (INPUT, "f32", y)], x * y, 0)


def relative_bias(m, heads, own, ctx, table):
    distance = (torch.arange(ctx)[None] - own[:, None]).clamp(-m, m) + m
    return table[:, distance].transpose(0, 1)  # [T, heads, ctx]


def attention_spans(out):
    """Encoders, cross-attention, T5's relative positions, Gemma 2's soft cap."""
    for kind, heads, kv_heads, d, m, softcap, spans in (
            ("f32", 4, 4, 8, 0, 0, True), ("f32", 6, 2, 17, 4, 0, True), ("f32", 4, 2, 16, 0, 1.5, False),
            ("f16", 4, 4, 16, 3, 2, True), ("f32", 3, 3, 24, 6, 0, False)):
        ctx, own = 20, torch.tensor([0, 7, 19, 3, 12])
        first = torch.tensor([0, 5, 10, 3, 0]) if spans else torch.zeros_like(own)
        last = torch.tensor([19, 9, 19, 3, 15]) if spans else own
        q = normal(5, heads, d)
        k, v = rounded(normal(kv_heads, ctx, d), kind), rounded(normal(kv_heads, ctx, d), kind)
        scale = float(np.float32(d ** -0.5))
        scores = torch.einsum("thd,hcd->thc", q, repeat_kv(k[None], heads // kv_heads)[0]) * scale
        if softcap:
            scores = softcap * torch.tanh(scores / softcap)
        tensors = [(INPUT, "f32", q), (STATE, kind, k), (STATE, kind, v),
                   (INPUT, "i32", torch.stack([own, first, last], 1) if spans else own)]
        if m:
            table = normal(heads, 2 * m + 1)
            tensors.append((WEIGHT, "f32", table))
            scores = scores + relative_bias(m, heads, own, ctx, table)
        slots = torch.arange(ctx)[None]
        scores = scores.masked_fill(((slots < first[:, None]) | (slots > last[:, None]))[:, None], -torch.inf)
        y = torch.einsum("thc,hcd->thd", scores.softmax(-1), repeat_kv(v[None], heads // kv_heads)[0])
        out.case("attention", f"golden {kind} d={d} m={m} cap={softcap:g} {'spans' if spans else 'causal'}", tensors, y,
                 1e-10 if kind == "f32" else 1e-6, ints=(0, 20), floats=(scale, softcap))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = File(sys.argv[1])
    for make in (embedding, matmul, rms_norm, rope, kv_store, attention, elementwise, choice, sample,
                 layer_norm, activations, attention_spans):
        make(out)
    print(f"{out.n} cases")


if __name__ == "__main__":
    main()
