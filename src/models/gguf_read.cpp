// From a GGUF file's keys to a config.json, and from its tensors to transformers' names.
#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "models/config.h"
#include "models/gguf.h"

namespace hearth::models {
namespace {

using io::Json;

// Tokens that end a turn, whatever the file's eos is: chat models are often converted from bases.
constexpr const char* kTurnEnds[] = {"<|eot_id|>",    "<|im_end|>",      "<|end|>",
                                     "<end_of_turn>", "<|end_of_text|>", "<|endoftext|>"};
constexpr double kControlToken = 3;

class ConfigWriter {
 public:
  ConfigWriter(const io::Gguf& gguf, const GgufFamily& family)
      : gguf_(gguf), metadata_(gguf.metadata), family_(family) {}

  Json write() {
    config_ = {{"model_type", family_.model_type}, {"architectures", {family_.architecture}}};
    write_sizes();
    write_tokens();
    write_family();
    write_rope();
    config_["tie_word_embeddings"] = !has("output.weight");
    return std::move(config_);
  }

 private:
  std::string key(const char* name) const { return fmt::format("{}.{}", family_.arch, name); }
  bool is(const char* model_type) const {
    return family_.model_type == std::string_view(model_type);
  }
  bool has(const std::string& tensor) const { return gguf_.tensors.contains(tensor); }
  int64_t layered(const char* name) const {
    // A list has one number a layer; only models whose layers are alike are supported.
    const auto numbers = metadata_.numbers(key(name));
    if (!numbers || numbers->empty()) {
      throw_error(ErrorCode::kDataLoss, metadata_.where(), "key '{}' is missing", key(name));
    }
    const auto same = [&](double number) { return number == numbers->front(); };
    if (!std::all_of(numbers->begin(), numbers->end(), same)) {
      throw_error(
          ErrorCode::kUnsupported, metadata_.where(),
          "key '{}' differs from layer to layer; models whose layers are alike are supported",
          key(name));
    }
    return static_cast<int64_t>(std::clamp(numbers->front(), -1.0, 1e15));
  }

  const io::StoredTensor& tensor(const std::string& name) const {
    const auto it = gguf_.tensors.find(name);
    if (it == gguf_.tensors.end()) {
      throw_error(ErrorCode::kDataLoss, metadata_.where(), "tensor '{}' is missing{}", name,
                  gguf_.tensors.empty() ? ": this file holds a vocabulary alone" : "");
    }
    return it->second;
  }

  void write_sizes() {
    const auto& table = tensor("token_embd.weight");
    vocabulary_ = table.shape.empty() ? 0 : table.shape.front();
    hidden_ = metadata_.required_integer(key("embedding_length"));
    heads_ = layered("attention.head_count");
    const bool gpt2 = is("gpt2");
    config_["vocab_size"] = vocabulary_;
    config_[gpt2 ? "n_embd" : "hidden_size"] = hidden_;
    config_[gpt2 ? "n_layer" : "num_hidden_layers"] =
        metadata_.required_integer(key("block_count"));
    config_[gpt2 ? "n_inner" : "intermediate_size"] = layered("feed_forward_length");
    config_[gpt2 ? "n_head" : "num_attention_heads"] = heads_;
    config_[gpt2 ? "n_positions" : "max_position_embeddings"] =
        metadata_.required_integer(key("context_length"));
    if (metadata_.has(key("attention.head_count_kv")) && !gpt2) {
      kv_heads_ = layered("attention.head_count_kv");
      config_["num_key_value_heads"] = kv_heads_;
    } else {
      kv_heads_ = heads_;
    }
    head_dim_ =
        metadata_.integer(key("attention.key_length")).value_or(heads_ > 0 ? hidden_ / heads_ : 0);
    if (!gpt2 && !is("gpt_neox")) config_["head_dim"] = head_dim_;
    if (const auto epsilon = metadata_.number(key("attention.layer_norm_rms_epsilon"))) {
      config_["rms_norm_eps"] = *epsilon;
    }
    if (const auto epsilon = metadata_.number(key("attention.layer_norm_epsilon"))) {
      config_[gpt2 ? "layer_norm_epsilon" : "layer_norm_eps"] = *epsilon;
    }
  }

  void write_tokens() {
    if (const auto bos = metadata_.integer("tokenizer.ggml.bos_token_id")) {
      config_["bos_token_id"] = *bos;
    }
    std::set<int64_t> ends;
    for (const char* name : {"eos", "eot", "eom"}) {
      const auto id = metadata_.integer(fmt::format("tokenizer.ggml.{}_token_id", name));
      if (id) ends.insert(*id);
    }
    const auto tokens = metadata_.strings("tokenizer.ggml.tokens");
    const auto types = metadata_.numbers("tokenizer.ggml.token_type");
    for (size_t i = 0; tokens && types && i < std::min(tokens->size(), types->size()); ++i) {
      const auto same = [&](const char* end) { return (*tokens)[i] == end; };
      if ((*types)[i] == kControlToken &&
          std::any_of(std::begin(kTurnEnds), std::end(kTurnEnds), same)) {
        ends.insert(static_cast<int64_t>(i));
      }
    }
    if (!ends.empty()) config_["eos_token_id"] = ends;
  }

  void write_family() {
    const auto copy_number = [&](const char* gguf, const char* hf) {
      if (const auto value = metadata_.number(key(gguf))) config_[hf] = *value;
    };
    config_["attention_bias"] = has("blk.0.attn_q.bias") || has("blk.0.attn_qkv.bias");
    config_["mlp_bias"] = has("blk.0.ffn_down.bias");
    const auto window = metadata_.integer(key("attention.sliding_window"));
    config_["sliding_window"] = window.value_or(0) > 0 ? Json(*window) : Json();
    if (is("phi")) config_["hidden_act"] = "gelu_new";
    if (const auto original = metadata_.integer(key("rope.scaling.original_context_length"))) {
      if (is("phi3")) config_["original_max_position_embeddings"] = *original;
    }
    if (is("gpt_neox")) {
      config_["use_parallel_residual"] =
          metadata_.flag(key("use_parallel_residual")).value_or(true);
    }
    if (is("gemma2") || is("gemma3_text")) {
      copy_number("attn_logit_softcapping", "attn_logit_softcapping");
      copy_number("final_logit_softcapping", "final_logit_softcapping");
      config_["query_pre_attn_scalar"] = gemma_scalar();
    }
    if (is("gemma3_text")) {
      config_["sliding_window_pattern"] =
          metadata_.integer(key("attention.sliding_window_pattern")).value_or(6);
    }
  }

  double gemma_scalar() const {
    if (const auto scale = metadata_.number(key("attention.scale")); scale && *scale > 0) {
      return 1 / (*scale * *scale);
    }
    ModelInfo info;
    info.layers = metadata_.required_integer(key("block_count"));
    info.hidden = hidden_;
    info.heads = heads_;
    info.head_dim = head_dim_;
    return gemma_scalar_of_format(family_.arch, info);
  }

  std::vector<float> factors(const std::string& name) const {
    const io::StoredTensor& stored = tensor(name);
    if (stored.dtype != "F32") {
      throw_error(ErrorCode::kUnsupported, stored.file, "tensor '{}' is {}; F32 is expected", name,
                  stored.dtype);
    }
    std::vector<float> values(stored.data.size() / sizeof(float));
    std::memcpy(values.data(), stored.data.data(), values.size() * sizeof(float));
    return values;
  }

  void write_rope() {
    if (is("gpt2")) return;
    if (const auto base = metadata_.number(key("rope.freq_base"))) {
      config_[is("gpt_neox") ? "rotary_emb_base" : "rope_theta"] = *base;
    }
    if (const auto base = metadata_.number(key("rope.freq_base_swa"))) {
      config_["rope_local_base_freq"] = *base;
    }
    const auto turning = metadata_.integer(key("rope.dimension_count"));
    if (turning && head_dim_ > 0 && *turning != head_dim_) {
      config_[is("gpt_neox") ? "rotary_pct" : "partial_rotary_factor"] =
          static_cast<double>(*turning) / static_cast<double>(head_dim_);
    } else if (is("gpt_neox") || is("phi")) {
      config_[is("gpt_neox") ? "rotary_pct" : "partial_rotary_factor"] = 1.0;
    }
    Json scaling = rope_scaling();
    if (!scaling.is_null()) config_["rope_scaling"] = std::move(scaling);
  }

  // Factors for each frequency are stored as tensors; they are longrope's in all but the name.
  Json rope_scaling() {
    const double attention = metadata_.number(key("rope.scaling.attn_factor")).value_or(1);
    if (has("rope_freqs.weight")) {
      const std::vector<float> each = factors("rope_freqs.weight");
      // Its rule holds for every length.
      config_["original_max_position_embeddings"] =
          metadata_.required_integer(key("context_length"));
      return {{"rope_type", "longrope"},
              {"short_factor", each},
              {"long_factor", each},
              {"attention_factor", 1.0}};
    }
    if (has("rope_factors_long.weight")) {
      Json scaling = {{"rope_type", "longrope"},
                      {"short_factor", factors("rope_factors_short.weight")},
                      {"long_factor", factors("rope_factors_long.weight")}};
      if (attention != 1) scaling["attention_factor"] = attention;
      return scaling;
    }
    const std::string type(metadata_.text(key("rope.scaling.type")).value_or("none"));
    if (type == "none") return {};
    if (type != "linear" && type != "yarn") {
      throw_error(ErrorCode::kUnsupported, metadata_.where(),
                  "{} is '{}'; supported are none, linear and yarn", key("rope.scaling.type"),
                  type);
    }
    Json scaling = {{"rope_type", type},
                    {"factor", metadata_.number(key("rope.scaling.factor")).value_or(1)}};
    if (const auto original = metadata_.integer(key("rope.scaling.original_context_length"))) {
      scaling["original_max_position_embeddings"] = *original;
    }
    return scaling;
  }

  const io::Gguf& gguf_;
  const io::GgufMetadata& metadata_;
  const GgufFamily& family_;
  Json config_;
  int64_t vocabulary_ = 0;
  int64_t hidden_ = 0;
  int64_t heads_ = 0;
  int64_t kv_heads_ = 0;
  int64_t head_dim_ = 0;
};

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; empty where nothing maps.
std::string hf_name(const GgufFamily& family, const std::string& name) {
  for (const GgufName& pair : family.whole) {
    if (name == pair.gguf) return pair.hf;
  }
  constexpr std::string_view kBlock = "blk.";
  const size_t dot = name.find('.', kBlock.size());
  if (!name.starts_with(kBlock) || dot == std::string::npos) return {};
  for (const GgufName& pair : family.layered) {
    if (name.compare(dot + 1, std::string::npos, pair.gguf) != 0) continue;
    return family.layer + name.substr(kBlock.size(), dot - kBlock.size()) + "." + pair.hf;
  }
  return {};
}

bool names_fused(const GgufFamily& family) {
  return std::any_of(family.layered.begin(), family.layered.end(), [](const GgufName& name) {
    return std::string_view(name.gguf).starts_with("attn_qkv.");
  });
}

// Some files, older Phi-2 among them, keep q, k and v in one tensor though the family has them
// apart: rows of it are what is asked for.
void split_fused(io::TensorMap& tensors, const Json& config) {
  const auto heads = config["num_attention_heads"].get<int64_t>();
  const auto kv_heads = config.value("num_key_value_heads", heads);
  const auto head_dim = config["head_dim"].get<int64_t>();
  const std::array<std::pair<const char*, int64_t>, 3> parts = {{{"q_proj", heads * head_dim},
                                                                 {"k_proj", kv_heads * head_dim},
                                                                 {"v_proj", kv_heads * head_dim}}};
  io::TensorMap split;
  for (auto it = tensors.begin(); it != tensors.end();) {
    const size_t at = it->first.find("attn_qkv.");
    const io::StoredTensor& whole = it->second;
    const int64_t rows = whole.shape.empty() ? 0 : whole.shape.front();
    if (at == std::string::npos || rows != parts[0].second + 2 * parts[1].second || rows == 0) {
      ++it;
      continue;
    }
    const size_t row_bytes = whole.data.size() / static_cast<size_t>(rows);
    size_t from = 0;
    const size_t layer = it->first.find('.') + 1;
    for (const auto& [name, count] : parts) {
      io::StoredTensor part = whole;
      part.shape.front() = count;
      part.data = whole.data.subspan(from, static_cast<size_t>(count) * row_bytes);
      from += static_cast<size_t>(count) * row_bytes;
      split[fmt::format("model.layers.{}self_attn.{}.{}", it->first.substr(layer, at - layer), name,
                        it->first.substr(at + 9))] = std::move(part);
    }
    it = tensors.erase(it);
  }
  tensors.merge(split);
}

Layout layout_of(const GgufFamily& family, const Json& config) {
  Layout layout;
  layout.norms_are_whole = family.norms == GgufNorms::kWhole;
  layout.is_straight = family.rows == GgufRows::kStraight;
  if (family.rows != GgufRows::kRotaryPairs) return layout;
  const auto heads = config["num_attention_heads"].get<int64_t>();
  const auto kv_heads = config.value("num_key_value_heads", heads);
  const auto head_dim = config["head_dim"].get<int64_t>();
  const ConfigLimits limits;
  if (heads < 1 || heads > limits.heads_max || kv_heads < 1 || kv_heads > limits.heads_max ||
      head_dim < 2 || head_dim > limits.head_dim_max) {
    return layout;  // the family's loader says what is wrong with them
  }
  layout.row_orders["self_attn.q_proj"] = rotary_pair_order(heads, head_dim);
  layout.row_orders["self_attn.k_proj"] = rotary_pair_order(kv_heads, head_dim);
  return layout;
}

// Llama's family with a sliding window is Mistral.
const GgufFamily& family_of(const io::GgufMetadata& metadata, const std::string& arch) {
  const GgufFamily& family = gguf_family(arch, metadata.where());
  if (metadata.integer(arch + ".attention.sliding_window").value_or(0) == 0) return family;
  for (const GgufFamily& other : gguf_families()) {
    if (arch == other.arch && other.model_type == std::string_view("mistral")) return other;
  }
  return family;
}

// A tensor that no name was found for: what it does is left out, so that is said.
void warn_of_unknown(const std::string& name, const std::string& where) {
  log::warn("a tensor of this GGUF file has no place in its architecture tensor={} file={}", name,
            where);
}

}  // namespace

GgufModel read_gguf(io::FileSource& files) {
  io::Gguf gguf = io::load_gguf(files);
  const std::string arch(gguf.metadata.required_text("general.architecture"));
  const GgufFamily& family = family_of(gguf.metadata, arch);
  const Json config = ConfigWriter(gguf, family).write();
  GgufModel model;
  model.layout = layout_of(family, config);
  if (!names_fused(family)) split_fused(gguf.tensors, config);
  for (auto& [name, tensor] : gguf.tensors) {
    // Read with the config, or what the format adds beside the weights.
    if (name.starts_with("rope_f")) continue;
    std::string known = hf_name(family, name);
    if (known.empty()) known = name;
    if (known == name && !name.starts_with("model.")) warn_of_unknown(name, tensor.file);
    model.tensors.emplace(std::move(known), std::move(tensor));
  }
  model.config = std::make_shared<const Json>(config);
  return model;
}

}  // namespace hearth::models
