#!/usr/bin/env python3
"""Writes tests/golden/families.json: what Hugging Face transformers computes for tiny checkpoints.

Each case is a config.json, the names and shapes of its tensors, and logits at some positions of a
made-up text. The weights themselves are not stored: both sides make them from tensor name and
element number (see `weights`, and src/models/test_checkpoint.cpp). README.md says how to run this.
"""
import copy
import json
import math
import re
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

MASK = (1 << 64) - 1


def split_mix(x):
    """x: uint64 array. The same bijection as hearth::split_mix."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def words(text, count):
    with np.errstate(over="ignore"):
        return split_mix(np.uint64(fnv(text)) + np.arange(count, dtype=np.uint64))


def weights(name, shape, scale, shift):
    """shift + scale * u with u in [-1, 1) of 24 bits, every step rounded to f32."""
    count = int(np.prod(shape))
    unit = (words(name, count) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23)
    unit = unit - np.float32(1)
    value = unit * np.float32(scale) + np.float32(shift)
    return torch.from_numpy(value.reshape(shape).copy())


def spread(name, shape, gemma):
    """scale and shift that keep the activations of a tiny model lively and finite."""
    if len(shape) == 2:
        if "embed" in name or "wte" in name or "wpe" in name:
            return 1.0, 0.0
        return round(2.0 * math.sqrt(1.0 / shape[-1]), 4), 0.0
    if re.search(r"(norm|ln_\w+)\.weight$", name):
        return 0.3, 0.0 if gemma else 1.0
    return 0.2, 0.0


def build(case):
    config = copy.deepcopy(case["config"])
    flat = dict(config.get("text_config", config))
    model_type = flat.pop("model_type")
    for key in ("architectures", "torch_dtype", "dtype"):
        flat.pop(key, None)
    parsed = CONFIG_MAPPING[model_type].from_dict(flat)
    parsed._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(parsed, attn_implementation="eager").float().eval()
    state = model.state_dict()
    tied = parsed.tie_word_embeddings
    heads = ("lm_head.weight", "embed_out.weight")
    tensors, loaded = [], {}
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[case["dtype"]]
    for name, value in state.items():
        if tied and name in heads:
            continue
        stored = name
        for old, new in case.get("rename", []):
            stored = re.sub(old, new, stored)
        shape = list(value.shape)
        scale, shift = spread(name, shape, "gemma" in model_type)
        loaded[name] = weights(stored, shape, scale, shift).to(dtype).float()
        tensors.append([stored, shape, scale, shift])
    missing, unexpected = model.load_state_dict(loaded, strict=False)
    assert not unexpected and all(name in heads for name in missing), (missing, unexpected)
    model.tie_weights()
    return model, tensors


def run(case):
    model, tensors = build(case)
    config = case["config"].get("text_config", case["config"])
    length = case["length"]
    ids = (words(case["name"], length) % np.uint64(config["vocab_size"])).astype(np.int64)
    with torch.no_grad():
        logits = model(torch.from_numpy(ids)[None], use_cache=False).logits[0].numpy()
    positions = sorted({0, 1, length // 3, length // 2, 2 * length // 3, length - 2, length - 1})
    assert np.isfinite(logits).all()
    result = {key: case[key] for key in ("name", "config", "dtype", "length")}
    if "max_model_len" in case:
        result["max_model_len"] = case["max_model_len"]
    result["tensors"] = tensors
    result["logits"] = {str(p): [float(f"{x:.7g}") for x in logits[p]] for p in positions}
    print(f"{case['name']:36} logits rms {np.sqrt((logits**2).mean()):.3f}", file=sys.stderr)
    return result


# --- the cases ----------------------------------------------------------------------------------

LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=32,
             intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, vocab_size=61, max_position_embeddings=64, rms_norm_eps=1e-5,
             hidden_act="silu", tie_word_embeddings=False, rope_theta=10000.0, torch_dtype="float32")


def llama(name, stored="f32", length=40, rename=None, max_model_len=None, **changes):
    return case(name, LLAMA, stored, length, rename, max_model_len, changes)


def case(name, base, stored="f32", length=40, rename=None, max_model_len=None, changes=None):
    config = {**base, **(changes or {})}
    config = {key: value for key, value in config.items() if value != "absent"}
    result = dict(name=name, config=config, dtype=stored, length=length)
    if rename:
        result["rename"] = rename
    if max_model_len:
        result["max_model_len"] = max_model_len
    return result


def newer(theta=10000.0, **rope):
    """The keys of transformers 5 in place of the older ones."""
    return dict(rope_theta="absent", torch_dtype="absent", dtype="float32",
                rope_parameters=dict(rope_type="default", rope_theta=theta, **rope))


MISTRAL = {**LLAMA, "architectures": ["MistralForCausalLM"], "model_type": "mistral"}
QWEN2 = {**LLAMA, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
         "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": True,
         "use_sliding_window": False, "sliding_window": 8, "max_window_layers": 1}
QWEN3 = {**LLAMA, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
         "rms_norm_eps": 1e-6, "head_dim": 16, "attention_bias": False, "tie_word_embeddings": True}
PHI = dict(architectures=["PhiForCausalLM"], model_type="phi", hidden_size=32,
           intermediate_size=80, num_hidden_layers=2, num_attention_heads=2,
           num_key_value_heads=None, vocab_size=61, max_position_embeddings=64,
           layer_norm_eps=1e-5, hidden_act="gelu_new", partial_rotary_factor=0.5,
           rope_theta=10000.0, tie_word_embeddings=False, torch_dtype="float16")
PHI3 = {**LLAMA, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
        "original_max_position_embeddings": 64, "rope_scaling": None, "sliding_window": None,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GEMMA2 = dict(architectures=["Gemma2ForCausalLM"], model_type="gemma2", hidden_size=36,
              intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, head_dim=16, vocab_size=61, max_position_embeddings=64,
              rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", hidden_act="gelu",
              query_pre_attn_scalar=20, sliding_window=8, attn_logit_softcapping=3.0,
              final_logit_softcapping=5.0, rope_theta=10000.0, torch_dtype="bfloat16")
GEMMA3 = dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", hidden_size=36,
              intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
              num_key_value_heads=1, head_dim=16, vocab_size=61, max_position_embeddings=64,
              rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=16,
              sliding_window=8, sliding_window_pattern=3, rope_theta=1000000.0,
              rope_local_base_freq=100.0, rope_scaling=None, torch_dtype="bfloat16")
GPT2 = dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", n_embd=32, n_layer=2, n_head=4,
            n_positions=64, n_inner=None, vocab_size=61, activation_function="gelu_new",
            layer_norm_epsilon=1e-5)
NEOX = dict(architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox", hidden_size=32,
            intermediate_size=80, num_hidden_layers=2, num_attention_heads=2, vocab_size=61,
            max_position_embeddings=64, layer_norm_eps=1e-5, hidden_act="gelu", rotary_pct=0.25,
            rotary_emb_base=10000, use_parallel_residual=True, tie_word_embeddings=False,
            torch_dtype="float16")

LLAMA3_ROPE = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=16)
LONG = dict(short_factor=[1.0, 1.1, 1.3, 2.0], long_factor=[1.0, 2.0, 5.0, 9.0])

CASES = [
    llama("llama-gqa"),
    llama("llama-mha-tied", num_key_value_heads=4, tie_word_embeddings=True),
    llama("llama-mqa-bf16", "bf16", num_key_value_heads=1),
    llama("llama-f16", "f16"),
    llama("llama-biases-head-dim", attention_bias=True, mlp_bias=True, head_dim=12,
          hidden_act="gelu"),
    llama("llama-newer-keys", **newer(500000.0)),
    llama("llama-no-prefix", rename=[(r"^model\.", "")]),
    llama("llama-linear", rope_scaling=dict(type="linear", factor=4.0)),
    llama("llama-dynamic-short", length=60, rope_scaling=dict(type="dynamic", factor=2.0)),
    llama("llama-dynamic-long", length=100, max_model_len=100,
          rope_scaling=dict(type="dynamic", factor=2.0)),
    llama("llama-llama3", length=60, rope_scaling=dict(rope_type="llama3", **LLAMA3_ROPE)),
    llama("llama-llama3-newer", length=60,
          **{**newer(), "rope_parameters": dict(rope_type="llama3", rope_theta=500000.0,
                                                **LLAMA3_ROPE)}),
    llama("llama-yarn", length=60, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
    llama("llama-yarn-mscale", length=100, head_dim=24, max_position_embeddings=1024,
          rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=256,
                            beta_fast=16, beta_slow=2, mscale=0.9, mscale_all_dim=0.4,
                            truncate=False)),
    llama("llama-long-text", "bf16", length=600, max_position_embeddings=1024, head_dim=16),
    case("mistral-long-text", MISTRAL, length=600, changes=dict(
        sliding_window=70, max_position_embeddings=1024)),
    case("mistral-window", MISTRAL, "bf16", changes=dict(sliding_window=8)),
    case("mistral-no-window", MISTRAL, changes=dict(sliding_window=None, head_dim=16)),
    case("qwen2", QWEN2, "bf16"),
    case("qwen2-sliding", QWEN2, changes=dict(use_sliding_window=True)),
    case("qwen2-layer-types", QWEN2, changes=dict(
        **newer(1e6), tie_word_embeddings=False, use_sliding_window=True,
        layer_types=["sliding_attention", "full_attention"])),
    case("qwen3", QWEN3),
    case("qwen3-bias-yarn", QWEN3, "bf16", length=600, changes=dict(
        attention_bias=True, head_dim=32, max_position_embeddings=2048,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=512))),
    case("phi", PHI, "f16"),
    case("phi-qk-layernorm-newer", PHI, changes=dict(
        **newer(partial_rotary_factor=0.5), qk_layernorm=True, num_key_value_heads=1,
        partial_rotary_factor="absent")),
    case("phi3", PHI3, "bf16", changes=dict(sliding_window=8)),
    case("phi3-longrope-short", PHI3, length=16, changes=dict(
        original_max_position_embeddings=16, rope_scaling=dict(type="longrope", **LONG))),
    case("phi3-longrope-long", PHI3, length=40, max_model_len=64, changes=dict(
        original_max_position_embeddings=16, rope_scaling=dict(type="longrope", **LONG))),
    case("phi3-partial-newer", PHI3, changes=dict(
        **newer(partial_rotary_factor=0.5), rope_scaling="absent")),
    case("gemma2", GEMMA2),
    case("gemma2-long-text", GEMMA2, "bf16", length=600, changes=dict(
        sliding_window=50, max_position_embeddings=1024)),
    case("gemma2-bf16-newer", GEMMA2, "bf16", changes=dict(
        **newer(), layer_types=["full_attention", "sliding_attention", "sliding_attention"])),
    case("gemma3", GEMMA3),
    case("gemma3-linear-bf16", GEMMA3, "bf16", changes=dict(
        rope_scaling=dict(rope_type="linear", factor=8.0))),
    case("gemma3-newer", GEMMA3, changes=dict(
        **{**newer(), "rope_parameters": dict(
            full_attention=dict(rope_type="linear", factor=4.0, rope_theta=50000.0),
            sliding_attention=dict(rope_type="default", rope_theta=200.0))},
        rope_local_base_freq="absent", rope_scaling="absent", sliding_window_pattern="absent",
        layer_types=["sliding_attention", "full_attention", "sliding_attention",
                     "full_attention"])),
    case("gemma3-nested", dict(
        architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3",
        text_config={key: value for key, value in GEMMA3.items() if key != "architectures"},
        vision_config=dict(hidden_size=8)), rename=[(r"^model\.", "language_model.model.")]),
    case("gpt2", GPT2),
    case("gpt2-scaled-f16", GPT2, "f16", changes=dict(
        n_inner=40, scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False),
        rename=[(r"^transformer\.", "")]),
    case("neox", NEOX, "f16"),
    case("neox-serial-newer", NEOX, changes=dict(
        use_parallel_residual=False, attention_bias=False, rotary_pct="absent",
        rotary_emb_base="absent", torch_dtype="absent", dtype="float32", hidden_act="relu",
        rope_parameters=dict(rope_type="default", rope_theta=500.0, partial_rotary_factor=0.5))),
]


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    lines = [json.dumps(run(c), separators=(",", ":")) for c in CASES]
    print("[\n" + ",\n".join(lines) + "\n]")


if __name__ == "__main__":
    main()
