#include "adapters/config.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "io/json.h"

namespace hearth::adapters {
namespace {

using io::Json;

constexpr const char* kAllLinear = "all-linear";

// Starting values of A and B that leave the base as it was. The others change its weights too, so
// that the adapter belongs to a base that nobody else has.
constexpr const char* kHarmlessInits[] = {"gaussian", "eva", "orthogonal"};

// Fields whose every set value changes what the weights mean.
struct Refused {
  const char* field;
  const char* what;
};
constexpr Refused kRefused[] = {
    {"modules_to_save", "whole layers trained beside the low-rank ones"},
    {"layer_replication", "layers used several times"},
    {"target_parameters", "parameters that are no layers"},
    {"trainable_token_indices", "trained rows of the embedding"},
    {"alora_invocation_tokens", "adapters that begin inside the text (aLoRA)"},
    {"arrow_config", "routing among adapters (Arrow)"},
    {"use_qalora", "grouped inputs (QALoRA)"},
    {"use_bdlora", "block-diagonal matrices (BD-LoRA)"},
    {"lora_bias", "a bias of the low-rank layer"},
};

bool is_set(const Json& value) {
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_array() || value.is_object() || value.is_string()) return !value.empty();
  return true;
}

[[noreturn]] void refuse(const std::string& where, const char* field, const std::string& what) {
  throw_error(ErrorCode::kUnsupported, where,
              "field '{}': {} is not supported; train the adapter "
              "without it, or merge it into its base with PEFT's merge_and_unload",
              field, what);
}

[[noreturn]] void wrong(const std::string& where, const char* field, const std::string& expected,
                        const Json& found) {
  throw_error(ErrorCode::kInvalidArgument, where, "field '{}': expected {}, found {}", field,
              expected, io::dump_json(found).substr(0, 80));
}

const Json& field_of(const Json& json, const char* field) {
  static const Json kNull;
  const auto it = json.find(field);
  return it == json.end() ? kNull : *it;
}

class Reader {
 public:
  Reader(const Json& json, const std::string& where, const AdapterLimits& limits)
      : json_(json), where_(where), limits_(limits) {}

  AdapterConfig read() const;

 private:
  void check_supported() const;
  void check_init() const;
  std::string name(const char* field, const Json& value) const;
  std::vector<std::string> names(const char* field) const;
  TargetModules modules(const char* field) const;
  int64_t rank(const char* field, const Json& value) const;
  double alpha(const char* field, const Json& value) const;
  std::vector<int64_t> layers() const;
  void check_count(const char* field, size_t count) const;
  template <typename T>
  PatternList<T> patterns(const char* field,
                          T (Reader::*value_of)(const char*, const Json&) const) const;

  const Json& json_;
  const std::string& where_;
  const AdapterLimits& limits_;
};

void Reader::check_supported() const {
  const auto type = io::json_require<std::string>(json_, "peft_type", where_);
  if (type != "LORA") refuse(where_, "peft_type", fmt::format("'{}' (only LORA is)", type));
  const auto bias = io::json_get<std::string>(json_, "bias", "none", where_);
  if (bias != "none") refuse(where_, "bias", fmt::format("a trained bias ('{}')", bias));
  for (const Refused& refused : kRefused) {
    if (is_set(field_of(json_, refused.field))) refuse(where_, refused.field, refused.what);
  }
  check_init();
}

void Reader::check_init() const {
  const Json& init = field_of(json_, "init_lora_weights");
  if (init.is_null() || init.is_boolean()) return;
  if (!init.is_string()) wrong(where_, "init_lora_weights", "true, false or a name", init);
  for (const char* harmless : kHarmlessInits) {
    if (init == harmless) return;
  }
  throw_error(ErrorCode::kUnsupported, where_,
              "field 'init_lora_weights': '{}' changes the weights of the base as well; save it as "
              "a plain LoRA (PEFT: save_pretrained with path_initial_model_for_weight_conversion)",
              init.get<std::string>().substr(0, 40));
}

std::string Reader::name(const char* field, const Json& value) const {
  if (!value.is_string() || value.empty()) wrong(where_, field, "a name", value);
  const auto text = value.get<std::string>();
  if (text.empty()) wrong(where_, field, "a name", value);
  if (text.size() > limits_.pattern_bytes_max) {
    throw_error(ErrorCode::kTooLarge, where_,
                "field '{}': a pattern of {} bytes is over the limit of {}", field, text.size(),
                limits_.pattern_bytes_max);
  }
  return text;
}

void Reader::check_count(const char* field, size_t count) const {
  if (count <= limits_.patterns_max) return;
  throw_error(ErrorCode::kTooLarge, where_, "field '{}': {} entries are over the limit of {}",
              field, count, limits_.patterns_max);
}

// A name or a list of names; nothing where the field is absent.
std::vector<std::string> Reader::names(const char* field) const {
  const Json& value = field_of(json_, field);
  if (value.is_null()) return {};
  if (value.is_string()) return {name(field, value)};
  if (!value.is_array()) wrong(where_, field, "a name or a list of names", value);
  check_count(field, value.size());
  std::vector<std::string> all;
  for (const Json& entry : value) all.push_back(name(field, entry));
  return all;
}

TargetModules Reader::modules(const char* field) const {
  TargetModules modules;
  modules.names = names(field);
  if (!field_of(json_, field).is_string()) return modules;
  const std::string text = std::exchange(modules.names, {}).front();
  modules.kind = text == kAllLinear ? TargetModules::Kind::kAllLinear : TargetModules::Kind::kRegex;
  if (modules.kind == TargetModules::Kind::kRegex) modules.regex = text;
  return modules;
}

int64_t Reader::rank(const char* field, const Json& value) const {
  if (!value.is_number_unsigned() || value == 0) wrong(where_, field, "a rank above 0", value);
  const auto rank = value.get<uint64_t>();
  if (rank > static_cast<uint64_t>(limits_.rank_max)) {
    throw_error(ErrorCode::kTooLarge, where_, "field '{}': rank {} is over the limit of {}", field,
                rank, limits_.rank_max);
  }
  return static_cast<int64_t>(rank);
}

double Reader::alpha(const char* field, const Json& value) const {
  if (!value.is_number()) wrong(where_, field, "a number", value);
  const auto alpha = value.get<double>();
  if (!(std::fabs(alpha) <= std::numeric_limits<float>::max())) {
    wrong(where_, field, "a finite number", value);
  }
  return alpha;
}

std::vector<int64_t> Reader::layers() const {
  constexpr const char* kField = "layers_to_transform";
  const Json& value = field_of(json_, kField);
  if (value.is_null()) return {};
  const Json list = value.is_array() ? value : Json::array({value});
  check_count(kField, list.size());
  std::vector<int64_t> layers;
  for (const Json& entry : list) {
    if (!entry.is_number_unsigned() || entry > INT32_MAX) {
      wrong(where_, kField, "layer numbers from 0 on", value);
    }
    layers.push_back(entry.get<int64_t>());
  }
  return layers;
}

template <typename T>
PatternList<T> Reader::patterns(const char* field,
                                T (Reader::*value_of)(const char*, const Json&) const) const {
  const Json& value = field_of(json_, field);
  if (value.is_null()) return {};
  if (!value.is_object()) wrong(where_, field, "an object of patterns", value);
  check_count(field, value.size());
  PatternList<T> list;
  for (const auto& [pattern, entry] : value.items()) {
    list.emplace_back(name(field, Json(pattern)), (this->*value_of)(field, entry));
  }
  return list;
}

AdapterConfig Reader::read() const {
  check_supported();
  AdapterConfig c;
  c.base_model = io::json_get<std::string>(json_, "base_model_name_or_path", "", where_);
  if (json_.contains("r")) c.r = rank("r", json_.at("r"));
  if (json_.contains("lora_alpha")) c.lora_alpha = alpha("lora_alpha", json_.at("lora_alpha"));
  c.lora_dropout = io::json_get(json_, "lora_dropout", 0.0, where_);
  if (!(c.lora_dropout >= 0 && c.lora_dropout < 1)) {
    wrong(where_, "lora_dropout", "a share in [0, 1)", field_of(json_, "lora_dropout"));
  }
  c.use_rslora = io::json_get(json_, "use_rslora", false, where_);
  c.use_dora = io::json_get(json_, "use_dora", false, where_);
  c.fan_in_fan_out = io::json_get(json_, "fan_in_fan_out", false, where_);
  c.target_modules = modules("target_modules");
  c.exclude_modules = modules("exclude_modules");
  c.rank_pattern = patterns("rank_pattern", &Reader::rank);
  c.alpha_pattern = patterns("alpha_pattern", &Reader::alpha);
  c.layers_to_transform = layers();
  c.layers_pattern = names("layers_pattern");
  return c;
}

Json modules_json(const TargetModules& modules) {
  switch (modules.kind) {
    case TargetModules::Kind::kAllLinear:
      return kAllLinear;
    case TargetModules::Kind::kRegex:
      return modules.regex;
    case TargetModules::Kind::kNames:
      break;
  }
  return modules.names.empty() ? Json() : Json(modules.names);
}

template <typename T>
Json pattern_json(const PatternList<T>& list) {
  Json json = Json::object();
  for (const auto& [pattern, value] : list) json[pattern] = value;
  return json;
}

template <typename T>
Json list_or_null(const std::vector<T>& list) {
  return list.empty() ? Json() : Json(list);
}

// PEFT's scale is alpha / r whatever number alpha is; a whole one is written as such.
Json alpha_json(double alpha) {
  if (alpha == std::floor(alpha) && std::fabs(alpha) < 1e15) return static_cast<int64_t>(alpha);
  return alpha;
}

}  // namespace

AdapterConfig parse_adapter_config(std::string_view text, const std::string& where,
                                   const AdapterLimits& limits) {
  const Json json = io::parse_json(text, where, {.bytes_max = limits.config_bytes_max});
  if (!json.is_object()) {
    throw_error(ErrorCode::kInvalidArgument, where, "expected an object of PEFT's fields");
  }
  return Reader(json, where, limits).read();
}

Json to_json(const AdapterConfig& config) {
  PatternList<Json> alphas;
  for (const auto& [pattern, alpha] : config.alpha_pattern) {
    alphas.emplace_back(pattern, alpha_json(alpha));
  }
  return {
      {"alpha_pattern", pattern_json(alphas)},
      {"auto_mapping", nullptr},
      {"base_model_name_or_path", config.base_model},
      {"bias", "none"},
      {"exclude_modules", modules_json(config.exclude_modules)},
      {"fan_in_fan_out", config.fan_in_fan_out},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"layers_pattern", list_or_null(config.layers_pattern)},
      {"layers_to_transform", list_or_null(config.layers_to_transform)},
      {"lora_alpha", alpha_json(config.lora_alpha)},
      {"lora_dropout", config.lora_dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"r", config.r},
      {"rank_pattern", pattern_json(config.rank_pattern)},
      {"revision", nullptr},
      {"target_modules", modules_json(config.target_modules)},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", config.use_dora},
      {"use_rslora", config.use_rslora},
  };
}

}  // namespace hearth::adapters
