#!/usr/bin/env python3
"""Training beside PyTorch's CPU build with bf16 autocast: same shapes, same threads, one run.

    python3 bench/peers/train.py --hearth build/bench_train [--model 10m|124m] [--threads N]
                                 [--rounds N] [--steps N] [--tokens N]

Needs torch, which Hearth itself does not: docs/training_models.md says how to have one beside a Debian 12.
Rounds alternate, so that what else the machine does meets both. PyTorch's model is written with its
own fused pieces (rms_norm, scaled_dot_product_attention, fused AdamW); both do whole updates.
First, PyTorch's matrix products alone and the libraries that make them. One JSON line a model on stdout, a table on stderr.
"""
import argparse
import json
import re
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# As in bench/train.cpp.
SHAPES = {
    "10m": dict(hidden=320, inner=864, layers=6, heads=5, vocab=8192, context=512),
    "124m": dict(hidden=768, inner=2048, layers=12, heads=12, vocab=50304, context=1024),
}


def turned(x, cos, sin):
    low, high = x.chunk(2, dim=-1)
    return torch.cat((low * cos - high * sin, high * cos + low * sin), dim=-1).to(x.dtype)


class Block(nn.Module):
    def __init__(self, s):
        super().__init__()
        h = s["hidden"]
        self.heads = s["heads"]
        self.norm1, self.norm2 = nn.RMSNorm(h, 1e-6), nn.RMSNorm(h, 1e-6)
        self.qkv = nn.Linear(h, 3 * h, bias=False)
        self.out = nn.Linear(h, h, bias=False)
        self.gate_up = nn.Linear(h, 2 * s["inner"], bias=False)
        self.down = nn.Linear(s["inner"], h, bias=False)

    def forward(self, x, cos, sin):
        b, t, h = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(turned(q, cos, sin), turned(k, cos, sin), v,
                                               is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, h))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed = nn.Embedding(s["vocab"], s["hidden"])
        self.blocks = nn.ModuleList(Block(s) for _ in range(s["layers"]))
        self.norm = nn.RMSNorm(s["hidden"], 1e-6)
        half = s["hidden"] // s["heads"] // 2
        angles = torch.outer(torch.arange(s["context"]), 1e4 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.linear(self.norm(x), self.embed.weight)


class Torch:
    def __init__(self, shape, tokens):
        torch.manual_seed(1)
        self.model = Llama(shape)
        self.adamw = torch.optim.AdamW(self.model.parameters(), lr=1e-4, betas=(0.9, 0.95),
                                       weight_decay=0.1, fused=True)
        self.ids = torch.randint(shape["vocab"], (tokens // shape["context"], shape["context"] + 1))
        self.tokens = self.ids.shape[0] * shape["context"]

    def loss(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.model(self.ids[:, :-1])
        return F.cross_entropy(logits.float().flatten(0, 1), self.ids[:, 1:].flatten())

    def update(self):
        self.adamw.zero_grad(set_to_none=True)
        self.loss().backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.adamw.step()

    def best(self, steps):
        # As bench/train.cpp: of one thread its processor time, which leaves out other programs.
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        times = []
        for _ in range(steps):
            begin = clock()
            self.update()
            times.append(clock() - begin)
        return self.tokens / min(times)


def product_gflops(dtype, size=2048):
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begin)
    return round(2 * size**3 / min(times) / 1e9)


def libraries():
    """The files that products may come from, as they are mapped now."""
    with open("/proc/self/maps") as maps:
        paths = {line.split()[-1] for line in maps if re.search(r"blas|dnnl|mkl|jemalloc|tcmalloc", line)}
    return sorted(path.rsplit("/", 1)[-1] for path in paths)


def hearth(args, model):
    out = subprocess.run([args.hearth, "--model", model, "--precision", "bf16", "--threads",
                          str(args.threads), "--steps", str(args.steps), "--tokens",
                          str(args.tokens)], capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hearth", required=True, help="the program bench_train")
    parser.add_argument("--model", choices=SHAPES, help="default: both")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="of each in a round")
    parser.add_argument("--tokens", type=int, default=4096, help="of an update")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    products = dict(bf16=product_gflops(torch.bfloat16), f32=product_gflops(torch.float32))
    print(f"PyTorch's products: {products['bf16']} GFLOP/s in bf16, {products['f32']} in f32, from "
          f"{', '.join(libraries())}", file=sys.stderr)
    for name in [args.model] if args.model else SHAPES:
        peer = Torch(SHAPES[name], args.tokens)
        peer.update()
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(hearth(args, name))
            theirs.append(peer.best(args.steps))
        mine = max(ours, key=lambda r: r["tokens_per_second"])
        ratio = mine["tokens_per_second"] / max(theirs)
        print(json.dumps(dict(bench="peers/train", model=name, threads=args.threads,
                              tokens=args.tokens, torch=torch.__version__,
                              torch_product_gflops=products,
                              torch_libraries=libraries(),
                              hearth_tokens_per_second=mine["tokens_per_second"],
                              torch_tokens_per_second=round(max(theirs), 1),
                              ratio=round(ratio, 2), share_of_peak=mine["share_of_peak"],
                              rounds=dict(hearth=[r["tokens_per_second"] for r in ours],
                                          torch=[round(t, 1) for t in theirs]))), flush=True)
        print(f"{name:6} {args.threads} threads  Hearth {mine['tokens_per_second']:8.0f} tokens/s  "
              f"PyTorch {max(theirs):8.0f} tokens/s  {ratio:.2f} x", file=sys.stderr)


if __name__ == "__main__":
    main()
