// Names of tensors in GGUF files and in Hugging Face's, family by family.
#include <algorithm>

#include "base/error.h"
#include "models/gguf.h"

namespace hearth::models {
namespace {

constexpr GgufName kLlamaWhole[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};
constexpr GgufName kLlamaLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_output.bias", "self_attn.o_proj.bias"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_gate.bias", "mlp.gate_proj.bias"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_up.bias", "mlp.up_proj.bias"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"ffn_down.bias", "mlp.down_proj.bias"},
};
constexpr GgufName kGemmaLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"attn_q_norm.weight", "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", "self_attn.k_norm.weight"},
    {"post_attention_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
    {"ffn_gate.weight", "mlp.gate_proj.weight"},
    {"ffn_up.weight", "mlp.up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
};
constexpr GgufName kPhi2Whole[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.final_layernorm.weight"},
    {"output_norm.bias", "model.final_layernorm.bias"},
    {"output.weight", "lm_head.weight"},
    {"output.bias", "lm_head.bias"},
};
constexpr GgufName kPhi2Layer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_norm.bias", "input_layernorm.bias"},
    {"attn_q.weight", "self_attn.q_proj.weight"},
    {"attn_q.bias", "self_attn.q_proj.bias"},
    {"attn_k.weight", "self_attn.k_proj.weight"},
    {"attn_k.bias", "self_attn.k_proj.bias"},
    {"attn_v.weight", "self_attn.v_proj.weight"},
    {"attn_v.bias", "self_attn.v_proj.bias"},
    {"attn_output.weight", "self_attn.dense.weight"},
    {"attn_output.bias", "self_attn.dense.bias"},
    {"ffn_up.weight", "mlp.fc1.weight"},
    {"ffn_up.bias", "mlp.fc1.bias"},
    {"ffn_down.weight", "mlp.fc2.weight"},
    {"ffn_down.bias", "mlp.fc2.bias"},
};
constexpr GgufName kPhi3Layer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_qkv.weight", "self_attn.qkv_proj.weight"},
    {"attn_output.weight", "self_attn.o_proj.weight"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_up.weight", "mlp.gate_up_proj.weight"},
    {"ffn_down.weight", "mlp.down_proj.weight"},
};
constexpr GgufName kGpt2Whole[] = {
    {"token_embd.weight", "transformer.wte.weight"},
    {"position_embd.weight", "transformer.wpe.weight"},
    {"output_norm.weight", "transformer.ln_f.weight"},
    {"output_norm.bias", "transformer.ln_f.bias"},
    {"output.weight", "lm_head.weight"},
};
constexpr GgufName kGpt2Layer[] = {
    {"attn_norm.weight", "ln_1.weight"},          {"attn_norm.bias", "ln_1.bias"},
    {"attn_qkv.weight", "attn.c_attn.weight"},    {"attn_qkv.bias", "attn.c_attn.bias"},
    {"attn_output.weight", "attn.c_proj.weight"}, {"attn_output.bias", "attn.c_proj.bias"},
    {"ffn_norm.weight", "ln_2.weight"},           {"ffn_norm.bias", "ln_2.bias"},
    {"ffn_up.weight", "mlp.c_fc.weight"},         {"ffn_up.bias", "mlp.c_fc.bias"},
    {"ffn_down.weight", "mlp.c_proj.weight"},     {"ffn_down.bias", "mlp.c_proj.bias"},
};
constexpr GgufName kNeoXWhole[] = {
    {"token_embd.weight", "gpt_neox.embed_in.weight"},
    {"output_norm.weight", "gpt_neox.final_layer_norm.weight"},
    {"output_norm.bias", "gpt_neox.final_layer_norm.bias"},
    {"output.weight", "embed_out.weight"},
};
constexpr GgufName kNeoXLayer[] = {
    {"attn_norm.weight", "input_layernorm.weight"},
    {"attn_norm.bias", "input_layernorm.bias"},
    {"attn_qkv.weight", "attention.query_key_value.weight"},
    {"attn_qkv.bias", "attention.query_key_value.bias"},
    {"attn_output.weight", "attention.dense.weight"},
    {"attn_output.bias", "attention.dense.bias"},
    {"ffn_norm.weight", "post_attention_layernorm.weight"},
    {"ffn_norm.bias", "post_attention_layernorm.bias"},
    {"ffn_up.weight", "mlp.dense_h_to_4h.weight"},
    {"ffn_up.bias", "mlp.dense_h_to_4h.bias"},
    {"ffn_down.weight", "mlp.dense_4h_to_h.weight"},
    {"ffn_down.bias", "mlp.dense_4h_to_h.bias"},
};

constexpr const char* kModelLayers = "model.layers.";

// Mistral's files are Llama's: the format has no family for them.
constexpr GgufFamily kGgufFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", GgufRows::kRotaryPairs, GgufNorms::kSame, kModelLayers,
     kLlamaWhole, kLlamaLayer},
    {"llama", "mistral", "MistralForCausalLM", GgufRows::kRotaryPairs, GgufNorms::kSame,
     kModelLayers, kLlamaWhole, kLlamaLayer},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", GgufRows::kSame, GgufNorms::kSame, kModelLayers,
     kLlamaWhole, kLlamaLayer},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", GgufRows::kSame, GgufNorms::kSame, kModelLayers,
     kLlamaWhole, kLlamaLayer},
    {"phi2", "phi", "PhiForCausalLM", GgufRows::kSame, GgufNorms::kSame, kModelLayers, kPhi2Whole,
     kPhi2Layer},
    {"phi3", "phi3", "Phi3ForCausalLM", GgufRows::kSame, GgufNorms::kSame, kModelLayers,
     kLlamaWhole, kPhi3Layer},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", GgufRows::kSame, GgufNorms::kWhole, kModelLayers,
     kLlamaWhole, kGemmaLayer},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM", GgufRows::kSame, GgufNorms::kWhole, kModelLayers,
     kLlamaWhole, kGemmaLayer},
    {"gpt2", "gpt2", "GPT2LMHeadModel", GgufRows::kStraight, GgufNorms::kSame, "transformer.h.",
     kGpt2Whole, kGpt2Layer},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", GgufRows::kStraight, GgufNorms::kSame,
     "gpt_neox.layers.", kNeoXWhole, kNeoXLayer},
};

}  // namespace

std::span<const GgufFamily> gguf_families() { return kGgufFamilies; }

const GgufFamily& gguf_family(const std::string& arch, const std::string& where) {
  std::string known;
  for (const GgufFamily& family : kGgufFamilies) {
    if (arch == family.arch) return family;
    if (known.ends_with(family.arch)) continue;
    known += known.empty() ? "" : ", ";
    known += family.arch;
  }
  throw_error(ErrorCode::kUnsupported, where, "general.architecture is '{}'; supported are {}",
              arch, known);
}

double gemma_scalar_of_format(const std::string& arch, const ModelInfo& info) {
  constexpr int64_t kLayersOf27B[] = {46, 62};
  const bool large = info.layers == kLayersOf27B[arch == "gemma2" ? 0 : 1];
  return large && info.heads > 0
             ? static_cast<double>(info.hidden) / static_cast<double>(info.heads)
             : static_cast<double>(info.head_dim);
}

std::vector<int64_t> rotary_pair_order(int64_t heads, int64_t head_dim) {
  std::vector<int64_t> order;
  order.reserve(static_cast<size_t>(heads * head_dim));
  const int64_t half = head_dim / 2;
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t i = 0; i < head_dim; ++i) {
      order.push_back(head * head_dim + 2 * (i % half) + i / half);
    }
  }
  return order;
}

}  // namespace hearth::models
