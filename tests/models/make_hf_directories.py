#!/usr/bin/env python3
"""Writes the small models of tests/data/llama as Hugging Face directories, for tests of loading those.

    make_hf_directories.py tests/data/llama OUT

Each NAME.gguf becomes OUT/NAME.hf with config.json and safetensors, some in shards, laid out as transformers saves them;
NAME.logits, which transformers computed, is copied beside it. Needs nothing but Python.
"""
import json
import pathlib
import shutil
import struct
import sys

LAYER = {
    "attn_norm.weight": "input_layernorm.weight", "ffn_norm.weight": "post_attention_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight", "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight", "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q.bias": "self_attn.q_proj.bias", "attn_k.bias": "self_attn.k_proj.bias", "attn_v.bias": "self_attn.v_proj.bias",
    "attn_output.bias": "self_attn.o_proj.bias", "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight", "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight", "ffn_down.weight": "mlp.down_proj.weight",
}
TOP = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
       "output.weight": "lm_head.weight"}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# What GGUF says otherwise than config.json, or not at all.
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
MODEL_TYPES = {"mistral_window": "mistral", "qwen2": "qwen2", "qwen3": "qwen3"}
SHARDED = ("llama_linear", "qwen3")


class Gguf:
    """Metadata and F32 tensors of a small well-formed file."""

    def __init__(self, data):
        self.data, self.at, self.keys, self.tensors = data, 4, {}, {}
        _, n_tensors, n_keys = self.take("IQQ")
        for _ in range(n_keys):
            key = self.text()
            self.keys[key] = self.value(self.take("I"))
        places = []
        for _ in range(n_tensors):
            name, n_dims = self.text(), self.take("I")
            dims = [self.take("Q") for _ in range(n_dims)]
            places.append((name, dims, self.take("IQ")[1]))
        begin = self.at + -self.at % self.keys.get("general.alignment", 32)
        for name, dims, offset in places:
            n = 1
            for d in dims:
                n *= d
            self.tensors[name] = (dims[::-1], data[begin + offset:begin + offset + 4 * n])

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values[0] if len(values) == 1 else values

    def text(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            kind, n = self.take("IQ")
            return [self.value(kind) for _ in range(n)]
        return self.take(SCALARS[kind])


def halves(shape, data, n_heads):
    """Rotary pairs side by side become two halves of each head."""
    n_rows = shape[0]
    row, a_head = len(data) // n_rows, n_rows // n_heads
    order = [h * a_head + r for h in range(n_heads) for r in [*range(0, a_head, 2), *range(1, a_head, 2)]]
    return b"".join(data[r * row:(r + 1) * row] for r in order)


def config_of(name, file):
    keys = file.keys
    architecture = keys["general.architecture"]

    def get(suffix, otherwise=None):
        return keys.get(f"{architecture}.{suffix}", otherwise)

    rope = {"rope_theta": get("rope.freq_base"), "rope_type": get("rope.scaling.type", "default")}
    if get("rope.scaling.factor"):
        rope["factor"] = get("rope.scaling.factor")
    if get("rope.scaling.original_context_length"):
        rope["original_max_position_embeddings"] = get("rope.scaling.original_context_length")
    if "rope_freqs.weight" in file.tensors:
        rope.update(LLAMA3)
    config = {
        "architectures": ["of no interest"], "model_type": MODEL_TYPES.get(name, "llama"), "torch_dtype": "float32",
        "max_position_embeddings": get("context_length"), "hidden_size": get("embedding_length"),
        "num_hidden_layers": get("block_count"), "intermediate_size": get("feed_forward_length"),
        "num_attention_heads": get("attention.head_count"), "num_key_value_heads": get("attention.head_count_kv"),
        "head_dim": get("attention.key_length"), "rms_norm_eps": get("attention.layer_norm_rms_epsilon"),
        "sliding_window": get("attention.sliding_window"), "tie_word_embeddings": "output.weight" not in file.tensors,
        "vocab_size": file.tensors["token_embd.weight"][0][0], "hidden_act": "silu",
    }
    if name in SHARDED:  # as transformers wrote it before version 5
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    else:
        config["rope_parameters"] = rope
    return config


def hf_tensors(file):
    n_heads, n_kv_heads = (file.keys[file.keys["general.architecture"] + key]
                           for key in (".attention.head_count", ".attention.head_count_kv"))
    out = {}
    for name, (shape, data) in file.tensors.items():
        if name == "rope_freqs.weight":
            continue
        if name in TOP:
            out[TOP[name]] = (shape, data)
            continue
        _, layer, rest = name.split(".", 2)
        if file.keys["general.architecture"] == "llama" and rest.startswith(("attn_q.", "attn_k.")):
            data = halves(shape, data, n_heads if rest.startswith("attn_q.") else n_kv_heads)
        out[f"model.layers.{layer}.{LAYER[rest]}"] = (shape, data)
    return out


def write_safetensors(path, tensors):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, data) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def write_directory(folder, name, file):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(name, file), indent=1))
    tensors = hf_tensors(file)
    if name not in SHARDED:
        write_safetensors(folder / "model.safetensors", tensors)
        return
    names = [f"model-{i + 1:05}-of-00003.safetensors" for i in range(3)]
    parts = [{t: v for k, (t, v) in enumerate(tensors.items()) if k % 3 == i} for i in range(3)]
    for shard, part in zip(names, parts):
        write_safetensors(folder / shard, part)
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": 0}, "weight_map": {t: shard for shard, part in zip(names, parts) for t in part}}))


def main():
    source, out = map(pathlib.Path, sys.argv[1:3])
    for path in sorted(source.glob("*.gguf")):
        write_directory(out / f"{path.stem}.hf", path.stem, Gguf(path.read_bytes()))
        shutil.copy(path.with_suffix(".logits"), out)


if __name__ == "__main__":
    main()
