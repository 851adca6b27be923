// The families, in one list; and loading.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "models/families.h"
#include "models/gguf.h"
#include "models/packed.h"

namespace hearth::models {
namespace {

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kGenerationFile = "generation_config.json";

// config.json names its family by model_type; older files by architecture alone.
struct Family {
  const char* model_type;
  const char* architecture;
  LoadFamily load;
};
constexpr Family kFamilies[] = {
    {"llama", "LlamaForCausalLM", load_llama},
    {"mistral", "MistralForCausalLM", load_mistral},
    {"qwen2", "Qwen2ForCausalLM", load_qwen2},
    {"qwen3", "Qwen3ForCausalLM", load_qwen3},
    {"phi", "PhiForCausalLM", load_phi},
    {"phi3", "Phi3ForCausalLM", load_phi3},
    {"gemma2", "Gemma2ForCausalLM", load_gemma2},
    {"gemma3_text", "Gemma3ForCausalLM", load_gemma3},
    {"gemma3", "Gemma3ForConditionalGeneration", load_gemma3},
    {"gpt2", "GPT2LMHeadModel", load_gpt2},
    {"gpt_neox", "GPTNeoXForCausalLM", load_gpt_neox},
};

const Family& family_of(const Config& config) {
  const std::string model_type = config.outer_text("model_type");
  const std::vector<std::string> architectures = config.texts("architectures");
  for (const Family& family : kFamilies) {
    if (model_type == family.model_type) return family;
  }
  std::string supported;
  for (const Family& family : kFamilies) {
    const auto same = [&](const std::string& name) { return name == family.architecture; };
    if (std::any_of(architectures.begin(), architectures.end(), same)) return family;
    supported += supported.empty() ? "" : ", ";
    supported += family.model_type;
  }
  config.refuse(fmt::format("unknown model_type '{}' (architectures [{}]); supported are {}",
                            model_type, fmt::join(architectures, ", "), supported));
}

// A bias in the file that config.json does not mention gives wrong answers without any error.
void warn_of_left_over(const Weights& weights, const std::string& where) {
  constexpr size_t kNamed = 4;
  std::vector<std::string> names = weights.left_over();
  if (names.empty()) return;
  const size_t count = names.size();
  names.resize(std::min(count, kNamed));
  log::warn("tensors not used by this architecture config={} count={} first={}", where, count,
            fmt::join(names, ","));
}

}  // namespace

const char* to_string(Part part) {
  switch (part) {
    case Part::kEmbedding:
      return "embedding";
    case Part::kAttention:
      return "attention";
    case Part::kMlp:
      return "mlp";
    case Part::kNorm:
      return "norm";
    case Part::kHead:
      return "head";
  }
  return "?";
}

const char* to_string(Quantize quantize) {
  switch (quantize) {
    case Quantize::kNone:
      return "none";
    case Quantize::kQ8:
      return "q8";
    case Quantize::kQ4:
      return "q4";
  }
  return "?";
}

void Model::tie_head(Weights& weights) {
  head.weight = &embedding.table;
  if (auto linear = weights.tied_head(embedding.table)) own_head(std::move(*linear));
}

void Model::own_head(nn::Linear linear) {
  own_head_ = std::move(linear);
  head.weight = &own_head_.weight;
  if (!own_head_.bias.view().empty()) head.bias = &own_head_.bias;
}

namespace {

std::unique_ptr<Model> load_parts(const Config& config, Weights& weights,
                                  const LoadOptions& options) {
  std::unique_ptr<Model> model = family_of(config).load(config, weights, options);
  warn_of_left_over(weights, config.where());
  weights.finish();
  model->info.dtype = weights.main_dtype();
  model->info.stored = weights.main_type();
  model->info.quantize = options.quantize;
  model->parameters = std::move(weights.parameters);
  model->projections = std::move(weights.projections);
  model->packed = std::move(weights.packed);
  return model;
}

std::unique_ptr<Model> load_gguf(io::FileSource& files, const LoadOptions& options,
                                 const Progress& progress) {
  const std::string where = files.where(io::kGgufFile);
  GgufModel gguf = read_gguf(files);
  const Config config(*gguf.config, where);
  Weights weights(std::move(gguf.tensors), where, options, progress, std::move(gguf.layout));
  return load_parts(config, weights, options);
}

std::unique_ptr<Model> load_plain(io::FileSource& files, const Config& config,
                                  const LoadOptions& options, const Progress& progress) {
  Weights weights(io::load_safetensors(files), files.where(kWeightsFile), options, progress);
  return load_parts(config, weights, options);
}

// Made by `hearth quantize`.
std::unique_ptr<Model> load_packed(io::FileSource& files, const Config& config,
                                   const LoadOptions& options, const Progress& progress) {
  const std::string where = files.where(kWeightsFile);
  const auto packed = PackedFile::open(files.bytes(kWeightsFile), where, options.threads);
  if (!packed) {
    throw_error(ErrorCode::kDataLoss, where,
                "no packed weights in it, though config.json says so; quantise the model again");
  }
  LoadOptions with = options;
  with.packed = &*packed;
  with.quantize = packed->quantize();
  Weights weights(packed->others(), where, with, progress);
  return load_parts(config, weights, with);
}

}  // namespace

std::unique_ptr<Model> load(io::FileSource& files, const LoadOptions& options,
                            const Progress& progress) {
  if (files.has(io::kGgufFile)) return load_gguf(files, options, progress);
  const std::string where = files.where(kConfigFile);
  const Config config(io::parse_json(files.text(kConfigFile), where), where);
  family_of(config);  // an unknown family is said before its weights are looked for
  std::unique_ptr<Model> model = is_packed(config) ? load_packed(files, config, options, progress)
                                                   : load_plain(files, config, options, progress);
  if (files.has(kGenerationFile)) {
    const std::string generation = files.where(kGenerationFile);
    read_generation(Config(io::parse_json(files.text(kGenerationFile), generation), generation),
                    model->info);
  }
  return model;
}

}  // namespace hearth::models
