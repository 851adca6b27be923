#!/usr/bin/env python3
"""What Hearth trained, opened by transformers and llama.cpp: the same numbers, family by family.

    python3 bench/peers/trained.py --hearth build/hearth --work FOLDER [--family NAME] TEXTS...

Needs torch, transformers and llama.cpp's llama-server, which Hearth itself does not: docs/training_models.md says how to
have them beside a Debian 12. For each family of the trainer, from random weights and any text: a tokenizer, a model of
two to six layers, then an adapter on every linear layer. Judged are

  model      transformers' log-probabilities of a text (f32, eager) against Hearth's server; greedy tokens of both
  adapter    the same with the adapter, which transformers gets as PEFT applies it: the module that each key names becomes
             W + s B A (DoRA: rows brought to their lengths)
  llama.cpp  greedy tokens of the model as GGUF, and of the adapter as GGUF where the format can hold it

One JSON line a family on stdout; the exit status says whether all agree.
"""
import argparse
import json
import math
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

VOCAB, PROMPT, GENERATED = 400, 48, 24
# Llama's names of sizes; most families use them.
SIZES = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=0, eos_token_id=0, pad_token_id=0)
GEMMA = dict(SIZES, head_dim=16, query_pre_attn_scalar=24, hidden_activation="gelu_pytorch_tanh", sliding_window=32)
CONFIGS = {
    "llama": dict(SIZES),
    "mistral": dict(SIZES, sliding_window=None),
    "qwen2": dict(SIZES),
    "qwen3": dict(SIZES, head_dim=16),
    "phi": dict(SIZES, num_key_value_heads=4, partial_rotary_factor=0.5, hidden_act="gelu_new"),
    "phi3": dict(SIZES),
    "gemma2": dict(GEMMA, attn_logit_softcapping=50.0, final_logit_softcapping=30.0),
    # Every sixth layer sees everything.
    "gemma3_text": dict(GEMMA, num_hidden_layers=6, rope_local_base_freq=10000.0, rope_theta=1000000.0),
    "gpt2": dict(vocab_size=VOCAB, n_embd=64, n_layer=2, n_head=4, n_positions=128, bos_token_id=0, eos_token_id=0),
    "gpt_neox": dict(SIZES, num_key_value_heads=4, rotary_pct=0.25),
}
# How the adapter of a family is made, so that each way is met.
ADAPTERS = {
    "llama": dict(use_rslora=True),
    "qwen2": dict(rank_pattern=["q_proj=2", "down_proj=6"], alpha_pattern=["v_proj=4"]),
    "phi3": dict(use_dora=True),
    "gpt2": dict(use_dora=True),
    "gemma3_text": dict(layers_to_transform=[1, 5]),
}


def toml(sections):
    return "".join(f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
                   for name, fields in sections.items())


class Program:
    def __init__(self, path):
        self.path = str(Path(path).resolve())

    def __call__(self, *args):
        done = subprocess.run([self.path, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"hearth {' '.join(map(str, args))}:\n{done.stderr}")
        return done.stdout


class Server:
    """A server on a free port, until the end of the with block; `ready` answers 200 once it may be asked."""

    def __init__(self, command, ready):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.ready = ready
        self.process = subprocess.Popen([*map(str, command), "--port", str(self.port)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def request(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def __enter__(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args[0]} ended with {self.process.returncode}")
            try:
                self.request(self.ready)
                return self
            except (OSError, ValueError):
                time.sleep(0.1)
        raise RuntimeError(f"{self.process.args[0]} does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def train(hearth, work, family):
    config = work / f"{family}.config.json"
    config.write_text(json.dumps(dict(CONFIGS[family], model_type=family)))
    recipe = work / f"{family}.toml"
    recipe.write_text(toml(dict(
        model=dict(config=config.name), data=dict(train=["data/train.tok"], tokenizer="tokenizer"),
        optimizer=dict(learning_rate=3e-3), schedule=dict(steps=40, warmup_steps=4),
        batch=dict(tokens=2048, micro_tokens=2048), run=dict(out=family, save_dtype="f32"))))
    hearth("train", recipe)
    return work / family / "model"


def tune(hearth, work, family, model):
    recipe = work / f"{family}.tune.toml"
    recipe.write_text(toml(dict(
        model={"from": str(model)}, adapter=dict(dict(r=4, lora_alpha=12), **ADAPTERS.get(family, {})),
        data=dict(train=["pairs.jsonl"]), optimizer=dict(learning_rate=2e-2), schedule=dict(steps=30),
        batch=dict(examples=8), run=dict(out=f"{family}-adapter"))))
    hearth("tune", recipe)
    return work / f"{family}-adapter"


def apply_adapter(model, folder):
    """As PEFT would: names, scale and shapes are those of its own files."""
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    modules = sorted({re.fullmatch(r"base_model\.model\.(.+)\.lora_(A|B|magnitude_vector)(\.weight)?", key)[1] for key in tensors})
    for name in modules:
        prefix = f"base_model.model.{name}.lora_"
        a, b = tensors[prefix + "A.weight"], tensors[prefix + "B.weight"]
        alpha = next((value for pattern, value in config["alpha_pattern"].items()
                      if re.match(rf"(.*\.)?({pattern})$", name)), config["lora_alpha"])
        rank = a.shape[0]
        expected = next((value for pattern, value in config["rank_pattern"].items()
                         if re.match(rf"(.*\.)?({pattern})$", name)), config["r"])
        assert rank == expected, f"{name}: rank {rank}, the configuration says {expected}"
        change = (alpha / (math.sqrt(rank) if config["use_rslora"] else rank)) * (b @ a)
        weight = model.get_submodule(name).weight
        matrix = (weight.T if config["fan_in_fan_out"] else weight) + change
        if config["use_dora"]:
            matrix *= (tensors[prefix + "magnitude_vector"] / matrix.norm(dim=1))[:, None]
        with torch.no_grad():
            weight.copy_(matrix.T if config["fan_in_fan_out"] else matrix)
    return len(modules)


def ask_transformers(model, ids):
    with torch.no_grad():
        chances = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
        scores = [chances[i, ids[i + 1]].item() for i in range(len(ids) - 1)]
        text = list(ids)
        for _ in range(GENERATED):
            text.append(model(torch.tensor([text])).logits[0, -1].argmax().item())
    return scores, text[len(ids):]


def ask_hearth(server, name, ids):
    body = dict(model=name, prompt=ids, max_tokens=GENERATED, temperature=0, prompt_logprobs=0, ignore_eos=True,
                return_token_ids=True)
    choice = server.request("/v1/completions", body)["choices"][0]
    return [each["logprob"] for each in choice["prompt_logprobs"][1:]], choice["token_ids"]


def ask_llama(server, ids):
    body = dict(prompt=ids, n_predict=GENERATED, temperature=0, return_tokens=True, ignore_eos=True, cache_prompt=False)
    return server.request("/completion", body)["tokens"]


def same(a, b):
    """How many of the first tokens agree."""
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def judge(hearth, work, family, text):
    model = train(hearth, work, family)
    ids = json.loads(hearth("tokenize", "--model", model, "--ids", text))
    # Not AutoTokenizer, which takes some families' own splitting of text in place of what tokenizer.json says.
    theirs = PreTrainedTokenizerFast.from_pretrained(model)(text)["input_ids"]
    assert ids == theirs, "transformers reads the tokenizer in another way"
    ids = ids[:PROMPT]
    adapter = tune(hearth, work, family, model)
    peer = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()
    result = dict(bench="peers/trained", family=family, tokens=GENERATED)
    with Server([hearth.path, "serve", model, "--name", "base", "--lora", f"adapter={adapter}", "--compute", "f32",
                 "--data-dir", work / "state"], "/v1/models") as server:
        tokens = {}
        for name in ("base", "adapter"):
            if name == "adapter":
                result["adapter_modules"] = apply_adapter(peer, adapter)
            scores, tokens[name] = ask_hearth(server, name, ids)
            want, text = ask_transformers(peer, ids)
            result[f"{name}_logprob_difference"] = max(abs(a - b) for a, b in zip(scores, want))
            result[f"{name}_tokens_as_transformers"] = same(tokens[name], text)
        result["adapter_moves_logprobs"] = max(abs(a - b) for a, b in zip(scores, ask_hearth(server, "base", ids)[0]))
    gguf = work / f"{family}.gguf"
    hearth("export", "--gguf", model, gguf, "--type", "f32")
    runs = {"base": []}
    if not ADAPTERS.get(family, {}).get("use_dora"):
        hearth("export", "--adapter-gguf", adapter, model, work / f"{family}-adapter.gguf")
        runs["adapter"] = ["--lora", work / f"{family}-adapter.gguf"]
    for name, flags in runs.items():
        with Server(["llama-server", "-m", gguf, "-c", 128, "--no-warmup", "-ctk", "f32", "-ctv", "f32", "-fa", "off", *flags],
                    "/health") as server:
            result[f"{name}_tokens_as_llama"] = same(tokens[name], ask_llama(server, ids))
    return result


def agrees(result):
    return (all(value == GENERATED for key, value in result.items() if "_tokens_as_" in key)
            and max(result["base_logprob_difference"], result["adapter_logprob_difference"]) < 1e-4
            and result["adapter_moves_logprobs"] > 0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hearth", required=True)
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--family", choices=CONFIGS, action="append")
    parser.add_argument("texts", nargs="+")
    args = parser.parse_args()
    hearth = Program(args.hearth)
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    paragraphs = [p.strip() for text in args.texts for p in Path(text).read_text().split("\n\n") if len(p.strip()) > 80]
    (work / "text.jsonl").write_text("".join(json.dumps(dict(text=p)) + "\n" for p in paragraphs))
    (work / "pairs.jsonl").write_text("".join(json.dumps(dict(prompt=p[:60], completion=p[60:160][::-1])) + "\n"
                                              for p in paragraphs[:64]))
    hearth("tokenizer", "train", work / "text.jsonl", "--out", work / "tokenizer", "--vocab-size", VOCAB)
    (work / "data.toml").write_text(toml(dict(input=dict(files=["text.jsonl"]),
                                              output=dict(tokenizer="tokenizer", folder="data"))))
    hearth("data", work / "data.toml")
    good = True
    for family in args.family or CONFIGS:
        result = judge(hearth, work, family, "\n\n".join(paragraphs)[:20000])
        good = good and agrees(result)
        print(json.dumps(dict(result, agrees=agrees(result))), flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    main()
