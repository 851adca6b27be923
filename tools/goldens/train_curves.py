#!/usr/bin/env python3
"""Writes tests/golden/train_curves.json: what PyTorch makes of tiny training runs.

Each case is a tiny checkpoint as in make.py, documents by a formula, and the losses and gradient
norms of AdamW with warm-up, cosine decay, clipping and weight decay on matrices only. The model is
that of transformers, the gradients are autograd's, the optimizer is torch.optim.AdamW: nothing is
ours but this loop. Each document is a sequence of its own, so packing is judged too. README.md says
how to run this.
"""
import json
import math
import sys

import torch

from make import GPT2, LLAMA, build

STEPS, WARMUP, FINAL = 40, 5, 0.1
DOCUMENTS = 6
OPTIMIZER = dict(learning_rate=3e-3, beta1=0.9, beta2=0.95, epsilon=1e-8, weight_decay=0.1,
                 clip_norm=1.0)


def document(step, index, vocab):
    """Each token follows from the last, so that there is something to learn."""
    tokens = [(11 * step + 5 * index) % vocab]
    while len(tokens) < 5 + (7 * index + 3 * step) % 20:
        tokens.append((3 * tokens[-1] + 1) % vocab)
    return tokens


def rate(step):
    if step < WARMUP:
        return OPTIMIZER["learning_rate"] * (step + 1) / WARMUP
    part = (step - WARMUP) / (STEPS - 1 - WARMUP)
    return OPTIMIZER["learning_rate"] * (1 - (1 - FINAL) * (0.5 - 0.5 * math.cos(math.pi * part)))


def run(name, config):
    case = dict(name=name, config=config, dtype="f32")
    model, tensors = build(case)
    model.train()
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    adamw = torch.optim.AdamW(
        [dict(params=matrices, weight_decay=OPTIMIZER["weight_decay"]),
         dict(params=vectors, weight_decay=0.0)],
        lr=0.0, betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]), eps=OPTIMIZER["epsilon"])
    losses, norms = [], []
    for step in range(STEPS):
        adamw.zero_grad()
        documents = [document(step, i, config["vocab_size"]) for i in range(DOCUMENTS)]
        targets = sum(len(d) - 1 for d in documents)
        total = 0.0
        for tokens in documents:
            ids = torch.tensor([tokens])
            logits = model(ids[:, :-1], use_cache=False).logits[0]
            loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum") / targets
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["clip_norm"]).item()
        for group in adamw.param_groups:
            group["lr"] = rate(step)
        adamw.step()
        losses.append(float(f"{total:.7g}"))
        norms.append(float(f"{norm:.7g}"))
    print(f"{name:10} loss {losses[0]:.4f} -> {losses[-1]:.4f}", file=sys.stderr)
    return dict(case, tensors=tensors, length=0, documents=DOCUMENTS, warmup_steps=WARMUP,
                final_fraction=FINAL, optimizer=OPTIMIZER, losses=losses, grad_norms=norms)


def main():
    torch.manual_seed(0)
    off = dict(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    cases = [run("llama", LLAMA), run("gpt2", {**GPT2, **off})]
    print("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
