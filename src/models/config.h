// config.json behind one set of readers: the older keys and those of transformers 5, text models
// nested in `text_config`, every number inside named bounds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/json_fwd.h"
#include "models/model.h"
#include "nn/rope.h"
#include "ops/elementwise.h"

namespace hearth::models {

constexpr const char* kConfigFile = "config.json";

// Sizes beyond these are a damaged or hostile file, not a model.
struct ConfigLimits {
  int64_t layers_max = 1024;             // decoder layers
  int64_t width_max = int64_t{1} << 20;  // hidden and intermediate sizes
  int64_t heads_max = 4096;              // attention heads
  int64_t head_dim_max = 4096;           // elements of one head
  int64_t vocabulary_max = 1 << 24;      // tokens
  int64_t length_max = 1 << 30;          // positions
};

class Config {
 public:
  // `where` is the file, for messages.
  Config(const io::Json& root, std::string where);
  ~Config();
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  bool has(const char* key) const;     // present and not null
  bool is_off(const char* key) const;  // present and null
  // A whole number inside [min, max]. The first form refuses a file without it.
  int64_t integer(const char* key, int64_t min, int64_t max) const;
  int64_t integer(const char* key, int64_t min, int64_t max, int64_t absent) const;
  // A whole number that may be switched off: null gives 0, a missing key gives `absent`.
  int64_t integer_or_off(const char* key, int64_t max, int64_t absent) const;
  double number(const char* key, double absent) const;
  std::string text(const char* key, const std::string& absent) const;
  // What the file itself says, not its nested text model.
  std::string outer_text(const char* key) const;
  std::vector<std::string> texts(const char* key) const;  // empty when absent
  std::vector<int64_t> integers(const char* key) const;   // a number counts as a list of one
  bool is_true(const char* key) const;                    // absent: false
  bool is_not_false(const char* key) const;               // absent: true
  const io::Json* object(const char* key) const;          // null when absent

  const std::string& where() const { return where_; }
  const ConfigLimits& limits() const { return limits_; }
  // Throws Error{kUnsupported} about this file.
  [[noreturn]] void refuse(const std::string& text) const;

 private:
  const io::Json* find(const char* key) const;  // null when absent or null
  bool present(const char* key) const;          // perhaps null

  std::unique_ptr<const io::Json> root_;
  const io::Json* nested_ = nullptr;  // text_config
  std::string where_;
  ConfigLimits limits_;
};

// The sizes that nearly every family states under the same keys.
struct Sizes {
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocabulary = 0;
  int64_t length = 0;  // max_position_embeddings
};
// `absent` holds what the family takes where the file is silent; 0: the file must say it (but
// head_dim: hidden / heads, and kv_heads: heads).
Sizes read_sizes(const Config& config, const Sizes& absent = {});
// Whether the weights beside it are those of `hearth quantize`.
bool is_packed(const Config& config);
// heads a multiple of kv_heads, and so on: what every family needs to be true.
void check_sizes(const Config& config, const Sizes& sizes);

// hidden_act and its spellings. Unknown: an Error that lists the supported ones.
ops::Activation read_activation(const Config& config, const char* key, const char* fallback);

// The sliding window of each layer, 0 for those that see everything. `layer_types` decides where
// the file has it, else `pattern`: whether layer i slides.
std::vector<int32_t> read_windows(const Config& config, int64_t layers, int64_t window,
                                  const std::function<bool(int64_t layer)>& pattern);

// How long a text may be, and how the angles are made for it.
struct RopePlan {
  nn::Rope rope;
  std::string rule;    // "default", "llama3", ...
  double theta = 0;    // the base that the rule starts from
  int64_t length = 0;  // the longest text to serve
  int64_t length_possible = 0;
};

struct RopeRequest {
  int64_t head_dim = 0;
  int64_t length = 0;              // max_position_embeddings
  int32_t max_model_len = 0;       // LoadOptions::max_model_len
  double default_theta = 10000;    // where the file states none
  double default_partial = 1;      // the share of a head that turns
  int64_t default_pretrained = 0;  // the family's original_max_position_embeddings; 0: `length`
  // Older names of the base, the share and the rule. No rule key: the older file scales nothing
  // here.
  const char* theta_key = "rope_theta";
  const char* partial_key = "partial_rotary_factor";
  const char* scaling_key = "rope_scaling";
  // transformers 5 may state one rule for each type of layer.
  const char* layer_type = nullptr;
};
// What every family asks for; the rest is its own.
RopeRequest rope_request(const Sizes& sizes, const LoadOptions& options);
// Reads rope_parameters, or rope_scaling with rope_theta, and settles the rule for the length.
RopePlan read_rope(const Config& config, const RopeRequest& request);

// For models that look their positions up in a table of `length` rows.
RopePlan learned_positions(const Config& config, int64_t length, int32_t max_model_len);

// What `info` takes from the file itself and from `sizes`.
void fill_info(const Config& config, const Sizes& sizes, ModelInfo& info);
// ... and from the rule of its positions.
void fill_info(const RopePlan& rope, ModelInfo& info);

// The end tokens that a file states replace those of `info`; ids outside the vocabulary are no
// tokens.
void read_eos(const Config& config, ModelInfo& info);
// generation_config.json: end tokens and the recommended sampling.
void read_generation(const Config& generation, ModelInfo& info);

}  // namespace hearth::models
