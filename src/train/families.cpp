#include "train/families.h"

#include "base/error.h"
#include "io/json.h"

namespace hearth::train {
namespace {

struct Family {
  const char* model_type;
  const char* architecture;
  DecoderShape (*describe)(const models::Config& config, io::Json& saved);
};

constexpr Family kFamilies[] = {
    {"llama", "LlamaForCausalLM", describe_llama},
    {"mistral", "MistralForCausalLM", describe_mistral},
    {"qwen2", "Qwen2ForCausalLM", describe_qwen2},
    {"qwen3", "Qwen3ForCausalLM", describe_qwen3},
    {"phi", "PhiForCausalLM", describe_phi},
    {"phi3", "Phi3ForCausalLM", describe_phi3},
    {"gemma2", "Gemma2ForCausalLM", describe_gemma2},
    {"gemma3_text", "Gemma3ForCausalLM", describe_gemma3},
    {"gpt2", "GPT2LMHeadModel", describe_gpt2},
    {"gpt_neox", "GPTNeoXForCausalLM", describe_gpt_neox},
};

}  // namespace

std::string known_families() {
  std::string known;
  for (const Family& family : kFamilies) {
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  }
  return known;
}

DecoderShape describe(io::Json& config, const std::string& where) {
  const auto type = io::json_require<std::string>(config, "model_type", where);
  for (const Family& family : kFamilies) {
    if (type != family.model_type) continue;
    const models::Config reader(config, where);
    if (!config.contains("architectures"))
      config["architectures"] = io::Json::array({family.architecture});
    DecoderShape shape = family.describe(reader, config);
    shape.initializer_range = static_cast<float>(reader.number("initializer_range", 0.02));
    config["initializer_range"] = reader.number("initializer_range", 0.02);
    return shape;
  }
  throw_error(ErrorCode::kUnsupported, where,
              "models of type '{}' are not trained here; those that are: {}", type,
              known_families());
}

}  // namespace hearth::train
