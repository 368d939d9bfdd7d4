#!/usr/bin/env python3
"""Makes tests/data/small/NAME.golden: what transformers (torch.nn.Transformer for the original) computes with the small
models of tests/models/small_models.py, in double precision.

    make_small_golden.py OUT [NAME ...]     (needs torch and transformers; the results are committed)

A file is a safetensors container of F32 and I32 arrays; i counts sequences, l layers from 0 = what enters the first:
    decoder-only     tokens [T], hidden.l [T, C], logits [T, V]; prompt.i, greedy.i: prompts and their greedy continuations
    encoder-only     tokens.i, types.i, hidden.i.l, masked.i [T, V], next.i [2], as the model has them
    encoder-decoder  source.i, target.i, encoder.i.l, encoded.i, decoder.i.l, logits.i [T, V]; greedy.i; beam.i (4 beams)
                     and short_beam.i (3 beams, length penalty 0.4, early stopping), each with its score; ends, banned:
                     tokens that end a text and that are never chosen
Greedy choices with a runner-up closer than 0.0002 are refused: give the model another seed.
"""
import json
import pathlib
import random
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "models"))
import small_models  # noqa: E402

LEAST_GAP = 2e-4
torch.set_grad_enabled(False)


def ids(name, n, vocab, first=3):
    r = random.Random(f"{name} {n}")
    return [r.randrange(first, vocab) for _ in range(n)]


class Golden:
    def __init__(self):
        self.arrays, self.gap = {}, float("inf")

    def put(self, name, value):
        value = np.asarray(value)
        self.arrays[name] = value.astype(np.int32 if value.dtype.kind == "i" else np.float32)

    def choose(self, logits, banned=()):
        for token in banned:
            logits[token] = -torch.inf
        best = logits.topk(2)
        self.gap = min(self.gap, float(best.values[0] - best.values[1]))
        return int(best.indices[0])


class Layers:
    """Records what enters the first of some layers and what leaves each."""

    def __init__(self, layers):
        self.seen = []
        self.handles = [layers[0].register_forward_pre_hook(self.before, with_kwargs=True)]
        self.handles += [layer.register_forward_hook(self.after) for layer in layers]

    def before(self, _, args, kwargs):
        self.seen = [(args[0] if args else kwargs.get("hidden_states", kwargs.get("src")))[0]]

    def after(self, _, args, output):
        self.seen.append((output[0] if isinstance(output, tuple) else output)[0])


def load(name, folder, automatic):
    model, info = automatic.from_pretrained(folder / f"{name}.hf", dtype=torch.float64, attn_implementation="eager",
                                            output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v and k != "error_msgs"}
    assert not wrong, (name, wrong)
    model.config.use_cache = False
    return model.eval()


def decoder_only(name, folder, out):
    model = load(name, folder, transformers.AutoModelForCausalLM)
    body = model.base_model
    layers = Layers(body.h if hasattr(body, "h") else body.layers)
    tokens = ids(name, 33, model.config.vocab_size)
    logits = model(torch.tensor([tokens])).logits[0]
    out.put("tokens", tokens)
    for l, hidden in enumerate(layers.seen):
        out.put(f"hidden.{l}", hidden)
    out.put("logits", logits)
    for i, n in enumerate((1, 2, 5, 9, 20)):
        prompt = ids(f"{name} {i}", n, model.config.vocab_size)
        text = list(prompt)
        while len(text) < 128:
            text.append(out.choose(model(torch.tensor([text])).logits[0, -1]))
        out.put(f"prompt.{i}", prompt)
        out.put(f"greedy.{i}", text[n:])


def encoder_only(name, folder, out):
    automatic = {"bert": transformers.BertForPreTraining, "bert_plain": transformers.AutoModel,
                 "roberta": transformers.AutoModelForMaskedLM}[name]
    model = load(name, folder, automatic)
    layers = Layers(model.base_model.encoder.layer)
    for i, n in enumerate((11, 1, 40, 24)):
        tokens, types = ids(f"{name} {i}", n, model.config.vocab_size), [int(k > n // 2) for k in range(n)]
        if name == "roberta":
            types = [0] * n
        result = model(torch.tensor([tokens]), token_type_ids=torch.tensor([types]))
        out.put(f"tokens.{i}", tokens)
        out.put(f"types.{i}", types)
        for l, hidden in enumerate(layers.seen):
            out.put(f"hidden.{i}.{l}", hidden)
        if name != "bert_plain":
            out.put(f"masked.{i}", (result.prediction_logits if name == "bert" else result.logits)[0])
        if name == "bert":
            out.put(f"next.{i}", result.seq_relationship_logits[0])


def stack_layers(stack):
    return stack.block if hasattr(stack, "block") else stack.layers


BEAMS = {"beam": {"num_beams": 4}, "short_beam": {"num_beams": 3, "length_penalty": 0.4, "early_stopping": True}}


def encoder_decoder(name, folder, out):
    model = load(name, folder, transformers.AutoModelForSeq2SeqLM)
    config, body = model.config, model.base_model
    encoder, decoder = Layers(stack_layers(body.encoder)), Layers(stack_layers(body.decoder))
    for i, (n, t) in enumerate(((13, 9), (40, 33), (1, 2))):
        source = ids(f"{name} source {i}", n, config.vocab_size - 1)
        target = [config.decoder_start_token_id] + ids(f"{name} target {i}", t - 1, config.vocab_size - 1)
        result = model(torch.tensor([source]), decoder_input_ids=torch.tensor([target]), use_cache=False)
        out.put(f"source.{i}", source)
        out.put(f"target.{i}", target)
        out.put(f"encoded.{i}", result.encoder_last_hidden_state[0])
        out.put(f"logits.{i}", result.logits[0])
        for kind, seen in (("encoder", encoder.seen), ("decoder", decoder.seen)):
            for l, hidden in enumerate(seen):
                out.put(f"{kind}.{i}.{l}", hidden)
    banned = [config.pad_token_id] if name == "marian" else []
    out.put("ends", [config.eos_token_id])
    if banned:
        out.put("banned", banned)
    for i, n in enumerate((2, 5, 9, 17, 30)):
        source = torch.tensor([ids(f"{name} prompt {i}", n, config.vocab_size - 1)])
        text = [config.decoder_start_token_id]
        while len(text) <= 40 and (len(text) == 1 or text[-1] != config.eos_token_id):
            text.append(out.choose(model(source, decoder_input_ids=torch.tensor([text]), use_cache=False).logits[0, -1], banned))
        out.put(f"prompt.{i}", source[0])
        out.put(f"greedy.{i}", text[1:])
        for kind, how in BEAMS.items():
            result = model.generate(source, max_new_tokens=40, use_cache=False, do_sample=False, return_dict_in_generate=True,
                                    output_scores=True, forced_eos_token_id=None, forced_bos_token_id=None,
                                    bad_words_ids=[banned] if banned else None, **how)
            put_beam(out, kind, i, result.sequences[0].tolist()[1:], float(result.sequences_scores[0]), config)


def put_beam(out, kind, i, text, score, config):
    if config.eos_token_id in text:
        text = text[:text.index(config.eos_token_id) + 1]  # what follows is padding
    out.put(f"{kind}.{i}", text)
    out.put(f"{kind}_score.{i}", [score])


class Original(torch.nn.Module):
    """Vaswani et al. 2017 around torch.nn.Transformer."""

    def __init__(self, folder):
        super().__init__()
        c = self.config = transformers.PretrainedConfig(**json.loads((folder / "config.json").read_text()))
        self.shared = torch.nn.Embedding(c.vocab_size, c.d_model)
        self.generator = torch.nn.Linear(c.d_model, c.vocab_size)
        self.body = torch.nn.Transformer(c.d_model, c.nhead, c.num_encoder_layers, c.num_decoder_layers,
                                         c.dim_feedforward, dropout=0.0, activation="relu", batch_first=True,
                                         layer_norm_eps=c.layer_norm_eps)
        state = load_file(folder / "model.safetensors")
        self.load_state_dict({k if k.startswith(("shared", "generator")) else f"body.{k}": v for k, v in state.items()})
        self.double()
        self.train()  # in eval, torch takes fused paths around the hooks; there is no dropout to turn off
        for layer in (*self.body.encoder.layers, *self.body.decoder.layers):
            for part in layer.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.p = 0.0

    def embed(self, tokens):
        c, n = self.config.d_model, tokens.shape[1]
        angles = torch.arange(n).double()[:, None] / 10000 ** (torch.arange(0, c, 2).double() / c)
        positions = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
        return self.shared(tokens) * c ** 0.5 + positions[None]

    def encode(self, source):
        return self.body.encoder(self.embed(source))

    def decode(self, encoded, target):
        mask = torch.nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.float64)
        return self.generator(self.body.decoder(self.embed(target), encoded, tgt_mask=mask))


def beam_search(model, encoded, n_beams, length_penalty=1.0, early_stopping=False, most=40):
    """transformers' generate with num_beams: the 2 n_beams best continuations are looked at in each step; finished ones
    score log P / length ** length_penalty, length without the start token."""
    config = model.config
    beams, done = [([config.decoder_start_token_id], 0.0)], []
    for step in range(most):
        found = []
        for text, score in beams:
            logp = model.decode(encoded, torch.tensor([text]))[0, -1].log_softmax(-1)
            found += [(score + float(p), text + [token]) for token, p in enumerate(logp)]
        found.sort(key=lambda x: -x[0])
        beams = []
        for rank, (score, text) in enumerate(found[:2 * n_beams]):
            if text[-1] == config.eos_token_id or step + 1 == most:
                if rank < n_beams:
                    done.append((score / (len(text) - 1) ** length_penalty, text))
            elif len(beams) < n_beams:
                beams.append((text, score))
        done = sorted(done, key=lambda x: -x[0])[:n_beams]
        if not beams:
            break
        if len(done) == n_beams and (early_stopping or
                                     done[-1][0] >= beams[0][1] / (step + 1) ** length_penalty):
            break
    return done[0]


def original(name, folder, out):
    model = Original(folder / f"{name}.hf")
    config = model.config
    encoder, decoder = Layers(model.body.encoder.layers), Layers(model.body.decoder.layers)
    for i, (n, t) in enumerate(((13, 9), (40, 33), (1, 2))):
        source = ids(f"{name} source {i}", n, config.vocab_size)
        target = [config.decoder_start_token_id] + ids(f"{name} target {i}", t - 1, config.vocab_size)
        encoded = model.encode(torch.tensor([source]))
        logits = model.decode(encoded, torch.tensor([target]))
        out.put(f"source.{i}", source)
        out.put(f"target.{i}", target)
        out.put(f"encoded.{i}", encoded[0])
        out.put(f"logits.{i}", logits[0])
        for kind, seen in (("encoder", encoder.seen), ("decoder", decoder.seen)):
            for l, hidden in enumerate(seen):
                out.put(f"{kind}.{i}.{l}", hidden)
    out.put("ends", [config.eos_token_id])
    for i, n in enumerate((2, 5, 9, 17, 30)):
        source = ids(f"{name} prompt {i}", n, config.vocab_size)
        encoded, text = model.encode(torch.tensor([source])), [config.decoder_start_token_id]
        while len(text) <= 40 and (len(text) == 1 or text[-1] != config.eos_token_id):
            text.append(out.choose(model.decode(encoded, torch.tensor([text]))[0, -1]))
        out.put(f"prompt.{i}", source)
        out.put(f"greedy.{i}", text[1:])
        for kind, how in BEAMS.items():
            score, text = beam_search(model, encoded, how["num_beams"], how.get("length_penalty", 1.0),
                                      how.get("early_stopping", False))
            put_beam(out, kind, i, text[1:], score, config)


KINDS = {"bert": encoder_only, "bert_plain": encoder_only, "roberta": encoder_only, "t5": encoder_decoder,
         "t5_gated": encoder_decoder, "marian": encoder_decoder, "bart": encoder_decoder, "transformer": original}


def main():
    target = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or small_models.MODELS:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            small_models.write_model(folder / f"{name}.hf", name)
            out = Golden()
            KINDS.get(name, decoder_only)(name, folder, out)
        texts = [a for key, a in out.arrays.items() if key.startswith("greedy")]
        variety = [f"{len(set(text.tolist()))}/{len(text)}" for text in texts]
        print(name, "distinct tokens of the greedy texts:", variety)
        if out.gap < LEAST_GAP:
            print(f"{name}: a greedy choice is a near-tie ({out.gap:.2g}): not written")
            continue
        save_file(out.arrays, target / f"{name}.golden", metadata={"smallest_gap": f"{out.gap:.3g}"})
        print(f"{name}: {len(out.arrays)} arrays, smallest gap {out.gap:.3g}")


if __name__ == "__main__":
    main()
