#!/usr/bin/env python3
"""Makes tests/data/llama/: small random models of the LLaMA family and their logits by Hugging Face transformers.

Each case is NAME.gguf (F32 weights, odd sizes, no vocabulary) and NAME.logits: little-endian int32 n_tokens and
n_vocab, the n_tokens ids as int32, then n_tokens x n_vocab float32 logits, computed in float64.

Needs (outside the repository): pip install torch transformers gguf numpy. Run from the repository's root:
    python3 tests/data/make_llama_golden.py
"""
import math
import os

import gguf
import numpy as np
import torch
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "llama")
N_TOKENS = 40

SIZES = dict(vocab_size=97, hidden_size=48, intermediate_size=72, num_hidden_layers=3, num_attention_heads=6,
             num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, attn_implementation="eager")


def sizes(**changes):
    return {**SIZES, **changes}


def rope(theta=10000.0, **more):
    return {"rope_theta": theta, "rope_type": "default", **more}


CASES = {
    "llama_tied": ("llama", LlamaForCausalLM, LlamaConfig, sizes(tie_word_embeddings=True, rope_parameters=rope())),
    "llama3_rope_bias": ("llama", LlamaForCausalLM, LlamaConfig, sizes(
        tie_word_embeddings=False, attention_bias=True,
        rope_parameters=rope(500000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=32))),
    "llama_linear": ("llama", LlamaForCausalLM, LlamaConfig, sizes(
        rope_parameters=rope(rope_type="linear", factor=4.0))),
    "llama_yarn": ("llama", LlamaForCausalLM, LlamaConfig, sizes(
        rope_parameters=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32))),
    "mistral_window": ("llama", MistralForCausalLM, MistralConfig, sizes(sliding_window=7, head_dim=8,
                                                                        rope_parameters=rope())),
    "qwen2": ("qwen2", Qwen2ForCausalLM, Qwen2Config, sizes(num_key_value_heads=3, rope_parameters=rope(1e6))),
    "qwen3": ("qwen3", Qwen3ForCausalLM, Qwen3Config, sizes(head_dim=10, tie_word_embeddings=True,
                                                          rope_parameters=rope(1e6))),
}

LAYER = {
    "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_proj.bias": "attn_q.bias", "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias", "self_attn.o_proj.bias": "attn_output.bias",
    "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
       "lm_head.weight": "output.weight"}


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{LAYER[rest]}"


def interleave(weight, n_heads):
    """Hugging Face keeps the halves of each rotary pair apart; llama files keep the pairs together."""
    rows = weight.reshape(n_heads, 2, weight.shape[0] // n_heads // 2, *weight.shape[1:])
    return rows.swapaxes(1, 2).reshape(weight.shape)


def rope_freqs(config, parameters):
    """The llama3 form as the per-pair divisors that GGUF stores (rope_freqs.weight)."""
    dim = config.hidden_size // config.num_attention_heads
    low = parameters["original_max_position_embeddings"] / parameters["low_freq_factor"]
    high = parameters["original_max_position_embeddings"] / parameters["high_freq_factor"]
    factors = []
    for i in range(dim // 2):
        wavelength = 2 * math.pi * parameters["rope_theta"] ** (2 * i / dim)
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(parameters["factor"])
        else:
            smooth = ((parameters["original_max_position_embeddings"] / wavelength - parameters["low_freq_factor"])
                      / (parameters["high_freq_factor"] - parameters["low_freq_factor"]))
            factors.append(1 / ((1 - smooth) / parameters["factor"] + smooth))
    return np.array(factors, dtype=np.float32)


def write_gguf(path, arch, model, config, parameters):
    w = gguf.GGUFWriter(path, arch)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_rope_freq_base(parameters["rope_theta"])
    if getattr(config, "sliding_window", None) and arch == "llama":
        w.add_sliding_window(config.sliding_window)
    form = parameters["rope_type"]
    if form in ("linear", "yarn"):
        w.add_string(f"{arch}.rope.scaling.type", form)
        w.add_float32(f"{arch}.rope.scaling.factor", parameters["factor"])
    if form == "yarn":
        w.add_uint32(f"{arch}.rope.scaling.original_context_length", parameters["original_max_position_embeddings"])
    if form == "llama3":
        w.add_tensor("rope_freqs.weight", rope_freqs(config, parameters))
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data = tensor.to(torch.float32).numpy()
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            data = interleave(data, config.num_attention_heads if "q_proj" in name else config.num_key_value_heads)
        w.add_tensor(gguf_name(name), np.ascontiguousarray(data))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    os.makedirs(OUT, exist_ok=True)
    for index, (name, (arch, model_class, config_class, kwargs)) in enumerate(CASES.items()):
        torch.manual_seed(index)
        config = config_class(**kwargs)
        model = model_class(config).eval()
        for key, tensor in model.state_dict().items():  # random norms, biases and larger weights than the defaults
            if tensor.ndim == 1:
                tensor.copy_(torch.randn_like(tensor) * 0.2 + (1.0 if "norm" in key else 0.0))
            else:
                tensor.copy_(torch.randn_like(tensor) / math.sqrt(tensor.shape[1]))
        write_gguf(os.path.join(OUT, name + ".gguf"), arch, model, config, kwargs["rope_parameters"])
        ids = torch.randint(0, config.vocab_size, (1, N_TOKENS))
        with torch.no_grad():
            logits = model.double()(ids).logits[0].to(torch.float32).numpy()
        with open(os.path.join(OUT, name + ".logits"), "wb") as f:
            f.write(np.array([N_TOKENS, config.vocab_size], dtype="<i4").tobytes())
            f.write(ids[0].numpy().astype("<i4").tobytes())
            f.write(np.ascontiguousarray(logits, dtype="<f4").tobytes())
        print(name, logits.shape, float(np.abs(logits).max()))


if __name__ == "__main__":
    main()
