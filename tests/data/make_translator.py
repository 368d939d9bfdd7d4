#!/usr/bin/env python3
"""Makes tests/data/translator: a small T5 with its tokenizer, in the form that Hugging Face's directories have, which has
learned to translate the sentences of tests/models/translator_grammar.py in both directions.

    make_translator.py OUT [STEPS]     (needs torch, transformers and tokenizers; minutes; the result is committed)

Says at the end how many of 1000 sentences that it was not shown it translates exactly.
"""
import pathlib
import random
import sys

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "models"))
import translator_grammar as grammar  # noqa: E402

PREFIXES = "translate English to German: ", "translate German to English: "
N_PIECES, N_BATCH, PAD, EOS = 384, 128, 0, 1
SIZES = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_heads": 4, "num_layers": 2, "num_decoder_layers": 2}


def pairs(r, is_kept, n):
    """n sources, with their prefix, and targets."""
    while n > 0:
        texts = grammar.sentence(r)
        if grammar.is_kept(texts[0]) == is_kept:
            way = r.randrange(2)
            yield PREFIXES[way] + texts[way], texts[1 - way]
            n -= 1


def make_tokenizer():
    """As T5's: Unigram, </s> at the end."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    texts = (t for pair in pairs(random.Random(1), False, 20000) for t in pair)
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(
        vocab_size=N_PIECES, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                             special_tokens=[("</s>", EOS)])
    return tokenizer


def batch(tokenizer, texts):
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def train(model, tokenizer, n_steps):
    r = random.Random(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, n_steps, pct_start=0.1)
    model.train()
    for step in range(n_steps):
        source, target = (batch(tokenizer, texts) for texts in zip(*pairs(r, False, N_BATCH)))
        loss = model(input_ids=source, attention_mask=(source != PAD).long(),
                     labels=target.masked_fill(target == PAD, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)


def count_exact(model, tokenizer, n):
    sources, targets = zip(*pairs(random.Random(3), True, n))
    source = batch(tokenizer, sources)
    model.eval()
    with torch.no_grad():
        out = model.generate(input_ids=source, attention_mask=(source != PAD).long(), max_new_tokens=40, num_beams=1)
    wrong = [(s, t, g) for s, t, g in zip(sources, targets, tokenizer.decode_batch(out.tolist())) if g != t]
    for row in wrong[:10]:
        print(*row, sep="\n    ")
    return n - len(wrong)


def main():
    out, n_steps = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    config = transformers.T5Config(
        vocab_size=tokenizer.get_vocab_size(), dropout_rate=0.0, feed_forward_proj="relu", pad_token_id=PAD,
        eos_token_id=EOS, decoder_start_token_id=PAD, relative_attention_num_buckets=16,
        relative_attention_max_distance=32, **SIZES)
    model = transformers.T5ForConditionalGeneration(config)
    train(model, tokenizer, n_steps)
    model.half().save_pretrained(out)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
                                         model_max_length=64).save_pretrained(out)
    print(f"{count_exact(model.float(), tokenizer, 1000)} of 1000 new sentences exactly")


if __name__ == "__main__":
    main()
