#!/usr/bin/env python3
"""Writes small models of every family as Hugging Face directories, with weights that are the same everywhere.

    small_models.py OUT [NAME ...]

OUT/NAME.hf gets config.json and model.safetensors, laid out and named as transformers saves them. Sizes are odd on
purpose. What an outside implementation computes with them is in tests/data/small (made by make_small_golden.py). Needs
nothing but Python.
"""
import json
import math
import pathlib
import random
import struct
import sys


# ---- Shapes: {tensor: shape}, as the families describe themselves ----------------------------------------------------

def linear(name, n_in, n_out, bias=True):
    return {f"{name}.weight": (n_out, n_in), **({f"{name}.bias": (n_out,)} if bias else {})}


def norm(name, width, bias=True):
    return {f"{name}.weight": (width,), **({f"{name}.bias": (width,)} if bias else {})}


def gpt2(prefix=""):
    c, layers, ff, vocab, positions = 48, 3, 100, 97, 128
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": vocab, "n_positions": positions,
              "n_embd": c, "n_layer": layers, "n_head": 4, "n_inner": ff, "activation_function": "gelu_new",
              "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True}
    shapes = {"wte.weight": (vocab, c), "wpe.weight": (positions, c), **norm("ln_f", c)}
    for i in range(layers):  # Conv1D keeps its matrices as [in, out]
        h = f"h.{i}."
        shapes |= {**norm(h + "ln_1", c), h + "attn.c_attn.weight": (c, 3 * c), h + "attn.c_attn.bias": (3 * c,),
                   h + "attn.c_proj.weight": (c, c), h + "attn.c_proj.bias": (c,), **norm(h + "ln_2", c),
                   h + "mlp.c_fc.weight": (c, ff), h + "mlp.c_fc.bias": (ff,),
                   h + "mlp.c_proj.weight": (ff, c), h + "mlp.c_proj.bias": (c,)}
    return config, {prefix + name: shape for name, shape in shapes.items()}


def gpt2_prefixed():
    return gpt2("transformer.")


def llama_of(model_type, architecture, biases=(), more_norms=(), **more):
    c, layers, ff, vocab, heads, kv_heads, d = 48, 3, 88, 103, 6, 2, more.get("head_dim", 8)
    config = {"model_type": model_type, "architectures": [architecture], "vocab_size": vocab, "hidden_size": c,
              "num_hidden_layers": layers, "intermediate_size": ff, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "hidden_act": "silu", "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
              "tie_word_embeddings": False, "rope_theta": 10000.0, **more}
    shapes = {"model.embed_tokens.weight": (vocab, c), **norm("model.norm", c, False)}
    if not config["tie_word_embeddings"]:
        shapes |= linear("lm_head", c, vocab, False)
    for i in range(layers):
        layer = f"model.layers.{i}."
        shapes |= {**norm(layer + "input_layernorm", c, False), **norm(layer + "post_attention_layernorm", c, False)}
        for part, n_in, n_out in (("self_attn.q", c, heads * d), ("self_attn.k", c, kv_heads * d),
                                  ("self_attn.v", c, kv_heads * d), ("self_attn.o", heads * d, c),
                                  ("mlp.gate", c, ff), ("mlp.up", c, ff), ("mlp.down", ff, c)):
            shapes |= linear(f"{layer}{part}_proj", n_in, n_out, part[-1] in biases)
        for part in more_norms:
            shapes |= {f"{layer}self_attn.{part}.weight": (d,)}
    return config, shapes


def llama():
    return llama_of("llama", "LlamaForCausalLM", rope_theta=500000.0, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32})


def smollm():
    return llama_of("llama", "LlamaForCausalLM", tie_word_embeddings=True, rope_theta=100000.0)


def mistral():
    return llama_of("mistral", "MistralForCausalLM", sliding_window=11, head_dim=10)


def qwen2():
    return llama_of("qwen2", "Qwen2ForCausalLM", biases="qkv", rope_theta=1000000.0)


def qwen3():
    return llama_of("qwen3", "Qwen3ForCausalLM", more_norms=("q_norm", "k_norm"), head_dim=12, tie_word_embeddings=True,
                    rope_theta=1000000.0)


def gemma(model_type, layers, **more):
    c, ff, vocab, heads, kv_heads, d = 40, 90, 101, 4, 2, 12
    config = {"model_type": model_type, "vocab_size": vocab, "hidden_size": c, "num_hidden_layers": layers,
              "intermediate_size": ff, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": d,
              "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
              "query_pre_attn_scalar": 20, "sliding_window": 8, "tie_word_embeddings": True, "pad_token_id": 0,
              "attention_bias": False, **more}
    shapes = {"model.embed_tokens.weight": (vocab, c), **norm("model.norm", c, False)}
    for i in range(layers):
        layer = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                     "post_feedforward_layernorm"):
            shapes |= norm(layer + name, c, False)
        shapes |= {**linear(layer + "self_attn.q_proj", c, heads * d, False),
                   **linear(layer + "self_attn.k_proj", c, kv_heads * d, False),
                   **linear(layer + "self_attn.v_proj", c, kv_heads * d, False),
                   **linear(layer + "self_attn.o_proj", heads * d, c, False),
                   **linear(layer + "mlp.gate_proj", c, ff, False), **linear(layer + "mlp.up_proj", c, ff, False),
                   **linear(layer + "mlp.down_proj", ff, c, False)}
        if model_type == "gemma3_text":
            shapes |= {layer + "self_attn.q_norm.weight": (d,), layer + "self_attn.k_norm.weight": (d,)}
    return config, shapes


def gemma2():
    return gemma("gemma2", 4, architectures=["Gemma2ForCausalLM"], attn_logit_softcapping=3.0,
                 final_logit_softcapping=4.0, rope_theta=10000.0)


def gemma3():
    kinds = ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(7)]
    return gemma("gemma3_text", 7, architectures=["Gemma3ForCausalLM"], rope_theta=1000000.0,
                 rope_local_base_freq=10000.0, sliding_window_pattern=6, layer_types=kinds)


def glm_of(model_type, architecture, more_norms):
    c, layers, ff, vocab, heads, kv_heads, d = 44, 3, 84, 89, 4, 2, 12
    config = {"model_type": model_type, "architectures": [architecture], "vocab_size": vocab, "hidden_size": c,
              "num_hidden_layers": layers, "intermediate_size": ff, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "head_dim": d, "hidden_act": "silu", "max_position_embeddings": 128,
              "rms_norm_eps": 1.5625e-07, "attention_bias": True, "partial_rotary_factor": 0.5, "rope_theta": 10000.0,
              "tie_word_embeddings": False, "pad_token_id": 0, "eos_token_id": [1, 2]}
    shapes = {"model.embed_tokens.weight": (vocab, c), **norm("model.norm", c, False),
              **linear("lm_head", c, vocab, False)}
    for i in range(layers):
        layer = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm", *more_norms):
            shapes |= norm(layer + name, c, False)
        shapes |= {**linear(layer + "self_attn.q_proj", c, heads * d), **linear(layer + "self_attn.k_proj", c, kv_heads * d),
                   **linear(layer + "self_attn.v_proj", c, kv_heads * d),
                   **linear(layer + "self_attn.o_proj", heads * d, c, False),
                   **linear(layer + "mlp.gate_up_proj", c, 2 * ff, False),
                   **linear(layer + "mlp.down_proj", ff, c, False)}
    return config, shapes


def glm():
    return glm_of("glm", "GlmForCausalLM", ())


def glm4():
    return glm_of("glm4", "Glm4ForCausalLM", ("post_self_attn_layernorm", "post_mlp_layernorm"))


def bert_of(prefix, types, positions, ln="LayerNorm"):
    c, layers, ff, vocab = 48, 2, 92, 107
    config = {"vocab_size": vocab, "hidden_size": c, "num_hidden_layers": layers, "num_attention_heads": 4,
              "intermediate_size": ff, "hidden_act": "gelu", "max_position_embeddings": positions,
              "type_vocab_size": types, "layer_norm_eps": 1e-12, "pad_token_id": 0, "position_embedding_type": "absolute"}
    shapes = {"embeddings.word_embeddings.weight": (vocab, c), "embeddings.position_embeddings.weight": (positions, c),
              "embeddings.token_type_embeddings.weight": (types, c), **norm(f"embeddings.{ln}", c)}
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        shapes |= {**linear(layer + "attention.self.query", c, c), **linear(layer + "attention.self.key", c, c),
                   **linear(layer + "attention.self.value", c, c), **linear(layer + "attention.output.dense", c, c),
                   **norm(layer + f"attention.output.{ln}", c), **linear(layer + "intermediate.dense", c, ff),
                   **linear(layer + "output.dense", ff, c), **norm(layer + f"output.{ln}", c)}
    return config, {prefix + name: shape for name, shape in shapes.items()}


def bert():
    config, shapes = bert_of("bert.", 2, 40)
    c, vocab = config["hidden_size"], config["vocab_size"]
    shapes |= {**linear("bert.pooler.dense", c, c), **linear("cls.predictions.transform.dense", c, c),
               **norm("cls.predictions.transform.LayerNorm", c), "cls.predictions.bias": (vocab,),
               **linear("cls.seq_relationship", c, 2)}
    return {"model_type": "bert", "architectures": ["BertForPreTraining"], **config}, shapes


def bert_plain():
    config, shapes = bert_of("", 2, 40)
    return ({"model_type": "bert", "architectures": ["BertModel"], **config},
            shapes | linear("pooler.dense", config["hidden_size"], config["hidden_size"]))


def roberta():
    config, shapes = bert_of("roberta.", 1, 42)
    c, vocab = config["hidden_size"], config["vocab_size"]
    shapes |= {**linear("lm_head.dense", c, c), **norm("lm_head.layer_norm", c), "lm_head.bias": (vocab,)}
    return {**config, "model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "pad_token_id": 1,
            "layer_norm_eps": 1e-5}, shapes


def t5_of(gated, d, **more):
    c, layers, decoder_layers, ff, vocab, heads, buckets = 44, 2, 3, 80, 103, 4, 12
    config = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "vocab_size": vocab, "d_model": c,
              "d_kv": d, "d_ff": ff, "num_layers": layers, "num_decoder_layers": decoder_layers, "num_heads": heads,
              "relative_attention_num_buckets": buckets, "relative_attention_max_distance": 20,
              "layer_norm_epsilon": 1e-6, "feed_forward_proj": "gated-gelu" if gated else "relu", "dropout_rate": 0.0,
              "n_positions": 64, "is_encoder_decoder": True, "pad_token_id": 0, "eos_token_id": 1,
              "decoder_start_token_id": 0, "tie_word_embeddings": not gated, **more}
    shapes = {"shared.weight": (vocab, c), **({} if not gated else {"lm_head.weight": (vocab, c)})}
    for stack, n in (("encoder", layers), ("decoder", decoder_layers)):
        shapes |= norm(f"{stack}.final_layer_norm", c, False)
        shapes[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (buckets, heads)
        for i in range(n):
            kinds = ["SelfAttention"] + ["EncDecAttention"] * (stack == "decoder")
            for k, kind in enumerate(kinds):
                layer = f"{stack}.block.{i}.layer.{k}."
                shapes |= norm(layer + "layer_norm", c, False)
                for letter in "qkv":
                    shapes |= linear(f"{layer}{kind}.{letter}", c, heads * d, False)
                shapes |= linear(f"{layer}{kind}.o", heads * d, c, False)
            layer = f"{stack}.block.{i}.layer.{len(kinds)}."
            shapes |= norm(layer + "layer_norm", c, False)
            for name in ("wi_0", "wi_1") if gated else ("wi",):
                shapes |= linear(layer + "DenseReluDense." + name, c, ff, False)
            shapes |= linear(layer + "DenseReluDense.wo", ff, c, False)
    return config, shapes


def t5():
    return t5_of(False, 11)


def t5_gated():
    return t5_of(True, 8)


def translator(config, positions):
    c, ff, vocab, layers, decoder_layers = 48, 88, 109, 2, 3
    config = {"vocab_size": vocab, "d_model": c, "encoder_layers": layers, "decoder_layers": decoder_layers,
              "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": ff,
              "decoder_ffn_dim": ff + 4, "max_position_embeddings": 64, "is_encoder_decoder": True,
              "tie_word_embeddings": True, **config}
    shapes = {"model.shared.weight": (vocab, c), "final_logits_bias": (1, vocab)}
    for stack, n, width in (("encoder", layers, ff), ("decoder", decoder_layers, ff + 4)):
        if positions:
            shapes[f"model.{stack}.embed_positions.weight"] = (64 + 2, c)
            shapes |= norm(f"model.{stack}.layernorm_embedding", c)
        for i in range(n):
            layer = f"model.{stack}.layers.{i}."
            for kind in ["self_attn"] + ["encoder_attn"] * (stack == "decoder"):
                for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    shapes |= linear(f"{layer}{kind}.{name}", c, c)
                shapes |= norm(f"{layer}{kind}_layer_norm", c)
            shapes |= {**linear(layer + "fc1", c, width), **linear(layer + "fc2", width, c),
                       **norm(layer + "final_layer_norm", c)}
    return config, shapes


def marian():
    return translator({"model_type": "marian", "architectures": ["MarianMTModel"], "activation_function": "swish",
                       "scale_embedding": True, "static_position_embeddings": True, "pad_token_id": 108,
                       "eos_token_id": 0, "bos_token_id": None, "decoder_start_token_id": 108,
                       "forced_eos_token_id": None}, False)


def bart():
    return translator({"model_type": "bart", "architectures": ["BartForConditionalGeneration"],
                       "activation_function": "gelu", "scale_embedding": False, "pad_token_id": 1, "eos_token_id": 2,
                       "bos_token_id": 0, "decoder_start_token_id": 2, "forced_eos_token_id": None}, True)


def transformer():
    """The original, in torch.nn.Transformer's state, with one table for source and target."""
    c, ff, vocab, layers, decoder_layers = 48, 96, 113, 3, 2
    config = {"model_type": "transformer", "vocab_size": vocab, "d_model": c, "nhead": 4, "num_encoder_layers": layers,
              "num_decoder_layers": decoder_layers, "dim_feedforward": ff, "layer_norm_eps": 1e-5,
              "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
              "decoder_start_token_id": 1, "is_encoder_decoder": True}
    shapes = {"shared.weight": (vocab, c), **linear("generator", c, vocab), **norm("encoder.norm", c),
              **norm("decoder.norm", c)}
    for stack, n in (("encoder", layers), ("decoder", decoder_layers)):
        for i in range(n):
            layer = f"{stack}.layers.{i}."
            kinds = ["self_attn"] + ["multihead_attn"] * (stack == "decoder")
            for k, kind in enumerate(kinds):
                shapes |= {f"{layer}{kind}.in_proj_weight": (3 * c, c), f"{layer}{kind}.in_proj_bias": (3 * c,),
                           **linear(f"{layer}{kind}.out_proj", c, c), **norm(f"{layer}norm{k + 1}", c)}
            shapes |= {**linear(layer + "linear1", c, ff), **linear(layer + "linear2", ff, c),
                       **norm(f"{layer}norm{len(kinds) + 1}", c)}
    return config, shapes


MODELS = {f.__name__: f for f in (llama, smollm, mistral, qwen2, qwen3, gpt2, gpt2_prefixed, gemma2, gemma3, glm, glm4,
                                  bert, bert_plain, roberta, t5, t5_gated, marian, bart, transformer)}
SEEDS = {"gpt2": 2, "gpt2_prefixed": 1, "t5": 3}  # chosen so that no greedy choice of the golden texts is a near-tie
BF16, SHARDED = ("glm",), ("t5",)


# ---- Values ----------------------------------------------------------------------------------------------------------

def values(model, name, shape):
    """Normal numbers: norms about 1 (about 0 where the family adds 1), tables so that texts vary."""
    r = random.Random(f"{model}/{SEEDS.get(model, 0)}/{name}")
    n = math.prod(shape)
    is_norm = len(shape) == 1 and name.endswith("weight")
    centre = 0.0 if not is_norm or model.startswith("gemma") else 1.0
    if len(shape) == 1 or shape[0] == 1:
        spread = 0.2 if is_norm else 0.05
    elif any(part in name for part in ("wte", "embed_tokens", "shared", "word_embeddings")):
        spread = 0.1  # small, or a model whose output is tied to its table would only repeat its last token
    elif any(part in name for part in ("embed", "wpe", "lm_head", "generator", "relative")):
        spread = 0.5
    else:
        gain = 0.7 if any(part in name for part in ("out_proj", ".o.weight", ".q.weight")) else 2.0
        spread = gain / math.sqrt(shape[0] if model.startswith("gpt2") else shape[1])
    return [centre + spread * r.gauss(0, 1) for _ in range(n)]


def pack(numbers, dtype):
    data = struct.pack(f"<{len(numbers)}f", *numbers)
    if dtype == "F32":
        return data
    return b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4))  # BF16: the upper halves


def write_safetensors(path, tensors, dtype):
    header, body, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, (shape, numbers) in tensors.items():
        data = pack(numbers, dtype)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        body.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(body))


def write_model(folder, model):
    config, shapes = MODELS[model]()
    dtype = "BF16" if model in BF16 else "F32"
    config["torch_dtype"] = {"F32": "float32", "BF16": "bfloat16"}[dtype]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tensors = {name: (shape, values(model, name, shape)) for name, shape in shapes.items()}
    if model not in SHARDED:
        write_safetensors(folder / "model.safetensors", tensors, dtype)
        return
    names = [f"model-{i + 1:05}-of-00002.safetensors" for i in range(2)]
    parts = [{t: v for k, (t, v) in enumerate(tensors.items()) if k % 2 == i} for i in range(2)]
    for shard, part in zip(names, parts):
        write_safetensors(folder / shard, part, dtype)
    (folder / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {}, "weight_map": {t: shard for shard, part in zip(names, parts) for t in part}}))


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(MODELS):
        sys.exit(f"{__doc__}\nModels: {' '.join(MODELS)}")
    for model in sys.argv[2:] or MODELS:
        write_model(pathlib.Path(sys.argv[1]) / f"{model}.hf", model)


if __name__ == "__main__":
    main()
