#include "models/config.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "io/json.h"

namespace hearth::models {
namespace {

struct NamedActivation {
  const char* name;
  ops::Activation activation;
};
constexpr NamedActivation kActivations[] = {
    {"silu", ops::Activation::kSilu},
    {"swish", ops::Activation::kSilu},
    {"gelu", ops::Activation::kGelu},
    {"gelu_python", ops::Activation::kGelu},
    {"gelu_new", ops::Activation::kGeluTanh},
    {"gelu_pytorch_tanh", ops::Activation::kGeluTanh},
    {"gelu_python_tanh", ops::Activation::kGeluTanh},
    {"gelu_fast", ops::Activation::kGeluTanh},
    {"gelu_accurate", ops::Activation::kGeluTanh},
    {"relu", ops::Activation::kRelu},
};

constexpr double kNumberMax = 1e30;  // what f32 can hold, with room to multiply
constexpr double kCountMax = 1e15;   // whole numbers written as 1e6 or 10000.0 are read up to here

}  // namespace

Config::Config(const io::Json& root, std::string where)
    : root_(std::make_unique<const io::Json>(root)), where_(std::move(where)) {
  if (!root_->is_object()) {
    throw_error(ErrorCode::kInvalidArgument, where_, "expected an object, found {}",
                root_->type_name());
  }
  const auto it = root_->find("text_config");
  if (it != root_->end() && it->is_object()) nested_ = &*it;
}

Config::~Config() = default;

const io::Json* Config::find(const char* key) const {
  for (const io::Json* object : {nested_, root_.get()}) {
    if (object == nullptr) continue;
    const auto it = object->find(key);
    if (it != object->end()) return it->is_null() ? nullptr : &*it;
  }
  return nullptr;
}

bool Config::present(const char* key) const {
  return root_->contains(key) || (nested_ != nullptr && nested_->contains(key));
}

bool Config::has(const char* key) const { return find(key) != nullptr; }

bool Config::is_off(const char* key) const { return present(key) && !has(key); }

void Config::refuse(const std::string& text) const {
  throw Error(ErrorCode::kUnsupported, text, where_);
}

int64_t Config::integer(const char* key, int64_t min, int64_t max) const {
  const io::Json* value = find(key);
  if (value == nullptr) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' is missing", key);
  }
  const double number = value->is_number() ? value->get<double>() : NAN;
  if (!(std::abs(number) < kCountMax) || number != std::floor(number)) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' must be a whole number, found {}",
                key, io::dump_json(*value));
  }
  const int64_t integer = static_cast<int64_t>(number);
  if (integer < min || integer > max) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' is {}; it must be from {} to {}",
                key, integer, min, max);
  }
  return integer;
}

int64_t Config::integer(const char* key, int64_t min, int64_t max, int64_t absent) const {
  return has(key) ? integer(key, min, max) : absent;
}

int64_t Config::integer_or_off(const char* key, int64_t max, int64_t absent) const {
  if (!present(key)) return absent;
  return has(key) ? integer(key, 0, max) : 0;
}

double Config::number(const char* key, double absent) const {
  const io::Json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_number() || !(std::abs(value->get<double>()) <= kNumberMax)) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' must be a number, found {}", key,
                io::dump_json(*value));
  }
  return value->get<double>();
}

std::string Config::text(const char* key, const std::string& absent) const {
  const io::Json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_string()) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' must be a string, found {}", key,
                io::dump_json(*value));
  }
  return value->get<std::string>();
}

std::string Config::outer_text(const char* key) const {
  return io::json_get<std::string>(*root_, key, "", where_);
}

std::vector<std::string> Config::texts(const char* key) const {
  const io::Json* value = find(key);
  if (value == nullptr) return {};
  const bool all_text =
      value->is_array() &&
      std::all_of(value->begin(), value->end(), [](const io::Json& e) { return e.is_string(); });
  if (!all_text) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' must be a list of strings", key);
  }
  return value->get<std::vector<std::string>>();
}

std::vector<int64_t> Config::integers(const char* key) const {
  const io::Json* value = find(key);
  if (value == nullptr) return {};
  const io::Json list = value->is_array() ? *value : io::Json::array({*value});
  std::vector<int64_t> result;
  for (const io::Json& element : list) {
    if (!element.is_number_integer()) {
      throw_error(ErrorCode::kInvalidArgument, where_,
                  "field '{}' must be a whole number or a list of them, found {}", key,
                  io::dump_json(*value));
    }
    result.push_back(element.get<int64_t>());
  }
  return result;
}

bool Config::is_true(const char* key) const {
  const io::Json* value = find(key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' must be true or false, found {}",
                key, io::dump_json(*value));
  }
  return value->get<bool>();
}

bool Config::is_not_false(const char* key) const { return !has(key) || is_true(key); }

const io::Json* Config::object(const char* key) const {
  const io::Json* value = find(key);
  if (value != nullptr && !value->is_object()) {
    throw_error(ErrorCode::kInvalidArgument, where_, "field '{}' must be an object, found {}", key,
                io::dump_json(*value));
  }
  return value;
}

Sizes read_sizes(const Config& config, const Sizes& absent) {
  const ConfigLimits& limits = config.limits();
  const auto read = [&](const char* key, int64_t max, int64_t otherwise) {
    return otherwise > 0 ? config.integer(key, 1, max, otherwise) : config.integer(key, 1, max);
  };
  Sizes sizes;
  sizes.layers = read("num_hidden_layers", limits.layers_max, absent.layers);
  sizes.hidden = read("hidden_size", limits.width_max, absent.hidden);
  sizes.intermediate = read("intermediate_size", limits.width_max, absent.intermediate);
  sizes.heads = read("num_attention_heads", limits.heads_max, absent.heads);
  sizes.kv_heads = read("num_key_value_heads", limits.heads_max,
                        absent.kv_heads > 0 ? absent.kv_heads : sizes.heads);
  sizes.vocabulary = read("vocab_size", limits.vocabulary_max, absent.vocabulary);
  sizes.length = read("max_position_embeddings", limits.length_max, absent.length);
  const bool derived = !config.has("head_dim") && absent.head_dim == 0;
  if (derived && sizes.hidden % sizes.heads != 0) {
    throw_error(ErrorCode::kInvalidArgument, config.where(),
                "hidden_size {} is not a multiple of num_attention_heads {}", sizes.hidden,
                sizes.heads);
  }
  sizes.head_dim =
      derived ? sizes.hidden / sizes.heads : read("head_dim", limits.head_dim_max, absent.head_dim);
  check_sizes(config, sizes);
  return sizes;
}

bool is_packed(const Config& config) {
  const io::Json* quantized = config.object("quantization_config");
  return quantized != nullptr &&
         io::json_get<std::string>(*quantized, "quant_method", "", config.where()) == "hearth";
}

void check_sizes(const Config& config, const Sizes& sizes) {
  if (sizes.heads % sizes.kv_heads != 0) {
    throw_error(ErrorCode::kInvalidArgument, config.where(),
                "num_attention_heads {} is not a multiple of num_key_value_heads {}", sizes.heads,
                sizes.kv_heads);
  }
  if (sizes.head_dim < 2 || sizes.head_dim % 2 != 0) {
    config.refuse(fmt::format("heads of {} elements; an even number is expected", sizes.head_dim));
  }
  const io::Json* quantized = config.object("quantization_config");
  if (quantized != nullptr && !is_packed(config)) {
    config.refuse(fmt::format(
        "weights quantised by '{}' are not supported; take the F32, F16 or BF16 checkpoint",
        io::json_get<std::string>(*quantized, "quant_method", "?", config.where())));
  }
}

ops::Activation read_activation(const Config& config, const char* key, const char* fallback) {
  const std::string name = config.text(key, fallback);
  std::string supported;
  for (const NamedActivation& entry : kActivations) {
    if (name == entry.name) return entry.activation;
    supported += supported.empty() ? "" : ", ";
    supported += entry.name;
  }
  config.refuse(
      fmt::format("field '{}': unknown activation '{}'; supported are {}", key, name, supported));
}

std::vector<int32_t> read_windows(const Config& config, int64_t layers, int64_t window,
                                  const std::function<bool(int64_t layer)>& pattern) {
  const std::vector<std::string> types = config.texts("layer_types");
  if (!types.empty() && static_cast<int64_t>(types.size()) != layers) {
    throw_error(ErrorCode::kInvalidArgument, config.where(),
                "layer_types has {} entries for {} layers", types.size(), layers);
  }
  std::vector<int32_t> windows;
  for (int64_t i = 0; i < layers; ++i) {
    bool slides = pattern(i);
    if (!types.empty()) {
      const std::string& type = types[static_cast<size_t>(i)];
      slides = type == "sliding_attention";
      if (!slides && type != "full_attention") {
        config.refuse(
            fmt::format("layer_types: unknown type '{}'; supported are full_attention, "
                        "sliding_attention",
                        type));
      }
    }
    windows.push_back(slides ? static_cast<int32_t>(window) : 0);
  }
  return windows;
}

void fill_info(const Config& config, const Sizes& sizes, ModelInfo& info) {
  const std::vector<std::string> architectures = config.texts("architectures");
  info.model_type = config.outer_text("model_type");
  info.architecture = architectures.empty() ? info.model_type : architectures.front();
  info.layers = sizes.layers;
  info.hidden = sizes.hidden;
  info.intermediate = sizes.intermediate;
  info.heads = sizes.heads;
  info.kv_heads = sizes.kv_heads;
  info.head_dim = sizes.head_dim;
  info.vocabulary = sizes.vocabulary;
  info.windows.assign(static_cast<size_t>(sizes.layers), 0);
  const std::vector<int64_t> bos = config.integers("bos_token_id");
  if (!bos.empty() && bos.front() >= 0 && bos.front() < sizes.vocabulary) {
    info.bos = static_cast<int32_t>(bos.front());
  }
  read_eos(config, info);
}

void fill_info(const RopePlan& rope, ModelInfo& info) {
  info.rope = rope.rule;
  info.max_model_len = static_cast<int32_t>(rope.length);
  info.max_len_possible = static_cast<int32_t>(rope.length_possible);
}

void read_eos(const Config& config, ModelInfo& info) {
  const std::vector<int64_t> eos = config.integers("eos_token_id");
  if (!eos.empty()) info.eos.clear();
  for (int64_t id : eos) {
    if (id >= 0 && id < info.vocabulary) info.eos.push_back(static_cast<int32_t>(id));
  }
}

void read_generation(const Config& generation, ModelInfo& info) {
  read_eos(generation, info);
  const auto number = [&](const char* key) -> std::optional<float> {
    if (!generation.has(key)) return std::nullopt;
    return static_cast<float>(generation.number(key, 0));
  };
  info.defaults.temperature = number("temperature");
  info.defaults.top_p = number("top_p");
  info.defaults.min_p = number("min_p");
  info.defaults.repetition_penalty = number("repetition_penalty");
  if (generation.has("top_k")) {
    info.defaults.top_k =
        static_cast<int32_t>(generation.integer("top_k", -1, generation.limits().vocabulary_max));
  }
}

}  // namespace hearth::models
