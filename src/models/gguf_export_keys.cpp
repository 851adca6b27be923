// The keys of an architecture as llama.cpp reads them.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "io/json.h"
#include "models/gemma.h"
#include "models/internal/gguf_keys.h"

namespace hearth::models {
namespace {

class KeyWriter {
 public:
  KeyWriter(const Config& config, const GgufFamily& family, const ModelInfo& info,
            io::GgufWriter& out)
      : config_(config), family_(family), info_(info), out_(out) {}

  void write() {
    integer("context_length", context_length());
    integer("embedding_length", info_.hidden);
    integer("block_count", info_.layers);
    integer("feed_forward_length", info_.intermediate);
    integer("attention.head_count", info_.heads);
    integer("vocab_size", info_.vocabulary);
    if (!is("gpt2")) integer("attention.head_count_kv", info_.kv_heads);
    if (!is("gpt2") && !is("gpt_neox")) {
      integer("attention.key_length", info_.head_dim);
      integer("attention.value_length", info_.head_dim);
    }
    write_epsilon();
    write_windows();
    if (is("gpt_neox")) {
      out_.flag(key("use_parallel_residual"), config_.is_not_false("use_parallel_residual"));
    }
    if (is("gemma2")) {
      number("attn_logit_softcapping", config_.number("attn_logit_softcapping", 50));
      number("final_logit_softcapping", config_.number("final_logit_softcapping", 30));
    }
    if (is("gemma2") || is("gemma3_text")) write_gemma_scale();
    if (!is("gpt2")) write_rope();
    check_representable();
  }

 private:
  std::string key(const char* name) const { return fmt::format("{}.{}", family_.arch, name); }
  bool is(const char* type) const { return family_.model_type == std::string_view(type); }
  void integer(const char* name, int64_t value) {
    out_.integer(key(name), static_cast<uint32_t>(value));
  }
  void number(const char* name, double value) { out_.number(key(name), static_cast<float>(value)); }

  int64_t context_length() const {
    const char* name = is("gpt2") ? "n_positions" : "max_position_embeddings";
    return config_.integer(name, 1, config_.limits().length_max, info_.max_len_possible);
  }

  void write_epsilon() {
    if (is("gpt2")) {
      number("attention.layer_norm_epsilon", config_.number("layer_norm_epsilon", 1e-5));
    } else if (is("gpt_neox") || is("phi")) {
      number("attention.layer_norm_epsilon", config_.number("layer_norm_eps", 1e-5));
    } else {
      number("attention.layer_norm_rms_epsilon",
             config_.number("rms_norm_eps", is("phi3") ? 1e-5 : 1e-6));
    }
  }

  // llama.cpp takes the width of a head, but for the two largest models.
  void write_gemma_scale() {
    const double scalar = config_.number("query_pre_attn_scalar", 256);
    if (scalar == gemma_scalar_of_format(family_.arch, info_)) return;
    number("attention.scale", 1 / std::sqrt(scalar));
    log::warn(
        "llama.cpp knows one scale of attention for this family and will not read this model's own "
        "query_pre_attn_scalar={}",
        scalar);
  }

  // The rule by which llama.cpp lets layers slide: 0: none does; n: all but every n-th; 1: all do.
  int64_t pattern() const {
    if (is("phi3") || is("mistral")) return 1;
    if (is("gemma2")) return 2;
    if (!is("gemma3_text")) return 0;
    for (int64_t every = 2; every <= info_.layers; ++every) {
      if (follows_pattern(gemma_window(config_), every)) return every;
    }
    return 6;  // all slide, or too few layers to tell
  }

  bool follows_pattern(int64_t window, int64_t every) const {
    for (size_t i = 0; i < info_.windows.size(); ++i) {
      const bool slides = every == 1 || (static_cast<int64_t>(i) + 1) % every != 0;
      if (info_.windows[i] != (slides ? window : 0)) return false;
    }
    return true;
  }

  void write_windows() {
    const int32_t window =
        info_.windows.empty() ? 0 : *std::max_element(info_.windows.begin(), info_.windows.end());
    if (window == 0) return;
    const int64_t every = pattern();
    if (every > 0 && !follows_pattern(window, every)) {
      config_.refuse(
          "layer_types: llama.cpp lets the layers of this family slide by another pattern");
    }
    if (every > 0) integer("attention.sliding_window", window);
    if (is("gemma3_text")) integer("attention.sliding_window_pattern", every);
    if (every > 0 && !is("mistral")) return;
    log::warn(
        "llama.cpp has no sliding window for this family: beyond that many tokens it sees more "
        "than "
        "the model was made for model_type={} window={}",
        family_.model_type, window);
  }

  RopePlan rope_of(const char* layer_type, const char* theta_key, const char* scaling_key,
                   double theta) const {
    return read_rope(config_,
                     {.head_dim = info_.head_dim,
                      .length = context_length(),
                      .default_theta = theta,
                      .default_partial = is("gpt_neox") ? 0.25
                                         : is("phi")    ? 0.5
                                                        : 1.0,
                      .default_pretrained = is("phi3") ? 4096 : 0,
                      .theta_key = theta_key,
                      .partial_key = is("gpt_neox") ? "rotary_pct" : "partial_rotary_factor",
                      .scaling_key = scaling_key,
                      .layer_type = layer_type});
  }

  void write_rope() {
    const bool gemma3 = is("gemma3_text");
    const char* theta_key = is("gpt_neox") ? "rotary_emb_base" : "rope_theta";
    const RopePlan plan =
        rope_of(gemma3 ? "full_attention" : nullptr, theta_key, "rope_scaling", gemma3 ? 1e6 : 1e4);
    integer("rope.dimension_count", static_cast<int64_t>(plan.rope.inverse_frequency.size()) * 2);
    number("rope.freq_base", plan.theta);
    if (gemma3) {
      const double local = rope_of("sliding_attention", "rope_local_base_freq", nullptr, 1e4).theta;
      if (local != 1e4) number("rope.freq_base_swa", local);
    }
    write_scaling(plan);
  }

  const io::Json* scaling_fields() const {
    const io::Json* fields = config_.object("rope_parameters");
    if (fields != nullptr && fields->contains("full_attention"))
      fields = &(*fields)["full_attention"];
    return fields != nullptr ? fields : config_.object("rope_scaling");
  }

  void write_scaling(const RopePlan& plan) {
    const std::string& rule = plan.rule;
    const io::Json* fields = scaling_fields();
    if (rule == "linear" || rule == "yarn") {
      refuse_unusual_yarn(*fields);
      out_.text(key("rope.scaling.type"), rule);
      number("rope.scaling.factor", io::json_require<double>(*fields, "factor", config_.where()));
      const auto original =
          io::json_get<int64_t>(*fields, "original_max_position_embeddings",
                                rule == "yarn" ? context_length() : 0, config_.where());
      if (original > 0) integer("rope.scaling.original_context_length", original);
    } else if (rule == "llama3") {
      write_factors("rope_freqs.weight", factors_of(plan));
    } else if (rule == "longrope" || rule == "su") {
      write_longrope(*fields);
    }
    // Dynamic scaling changes nothing up to the length that is written.
  }

  void refuse_unusual_yarn(const io::Json& fields) const {
    for (const char* name :
         {"attention_factor", "mscale", "mscale_all_dim", "beta_fast", "beta_slow", "truncate"}) {
      if (fields.contains(name)) {
        config_.refuse(fmt::format("rope scaling with '{}': llama.cpp has no key for it", name));
      }
    }
  }

  // What each frequency was divided by.
  static std::vector<float> factors_of(const RopePlan& plan) {
    const nn::Rope& rope = plan.rope;
    const auto dim = static_cast<int64_t>(rope.inverse_frequency.size()) * 2;
    const nn::Rope plain = nn::rope_default({static_cast<float>(plan.theta), dim});
    std::vector<float> factors;
    for (size_t i = 0; i < plain.inverse_frequency.size(); ++i) {
      factors.push_back(plain.inverse_frequency[i] / rope.inverse_frequency[i]);
    }
    return factors;
  }

  void write_factors(const char* name, std::vector<float> factors) {
    const int64_t shape[] = {static_cast<int64_t>(factors.size())};
    out_.tensor(name, *io::gguf_type("F32"), shape,
                [factors = std::move(factors)](const io::GgufWriter::Sink& sink) {
                  sink(std::as_bytes(std::span(factors)));
                });
  }

  void write_longrope(const io::Json& fields) {
    const auto list = [&](const char* name) {
      return io::json_require<std::vector<float>>(fields, name, config_.where());
    };
    const int64_t original = config_.integer(
        "original_max_position_embeddings", 2, config_.limits().length_max,
        io::json_get<int64_t>(fields, "original_max_position_embeddings", 4096, config_.where()));
    const double grown = static_cast<double>(context_length()) / static_cast<double>(original);
    const double attention =
        grown <= 1 ? 1 : std::sqrt(1 + std::log(grown) / std::log(static_cast<double>(original)));
    integer("rope.scaling.original_context_length", original);
    number("rope.scaling.attn_factor",
           io::json_get<double>(fields, "attention_factor", attention, config_.where()));
    write_factors("rope_factors_long.weight", list("long_factor"));
    write_factors("rope_factors_short.weight", list("short_factor"));
  }

  // What llama.cpp takes for granted and the config may have otherwise.
  void check_representable() const {
    const auto refuse_if = [&](bool other, const char* what) {
      if (other) config_.refuse(fmt::format("{}: llama.cpp has no key for it", what));
    };
    if (is("gpt2")) {
      refuse_if(config_.is_true("scale_attn_by_inverse_layer_idx"),
                "scale_attn_by_inverse_layer_idx");
      refuse_if(!config_.is_not_false("scale_attn_weights"), "scale_attn_weights false");
    }
    refuse_if(config_.is_true("qk_layernorm"), "qk_layernorm");
    const bool gelu = is("gpt2") || is("gpt_neox") || is("phi");
    const char* field = is("gpt2") ? "activation_function" : "hidden_act";
    const ops::Activation activation =
        read_activation(config_, field, gelu ? (is("gpt_neox") ? "gelu" : "gelu_new") : "silu");
    const bool gated_gemma = is("gemma2") || is("gemma3_text");
    if (gelu) {
      refuse_if(activation == ops::Activation::kRelu || activation == ops::Activation::kSilu,
                "another activation than gelu");
    } else if (!gated_gemma) {
      refuse_if(activation != ops::Activation::kSilu, "another activation than silu");
    }
  }

  const Config& config_;
  const GgufFamily& family_;
  const ModelInfo& info_;
  io::GgufWriter& out_;
};

}  // namespace

void write_gguf_keys(const Config& config, const GgufFamily& family, const ModelInfo& info,
                     io::GgufWriter& out) {
  KeyWriter(config, family, info, out).write();
}

}  // namespace hearth::models
