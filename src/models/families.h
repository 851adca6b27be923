// One function a family: config -> weights map -> a model that runs. registry.cpp lists them.
#pragma once

#include <memory>

#include "models/config.h"
#include "models/weights.h"

namespace hearth::models {

using LoadFamily = std::unique_ptr<Model> (*)(const Config& config, Weights& weights,
                                              const LoadOptions& options);

std::unique_ptr<Model> load_llama(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_mistral(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_qwen2(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_qwen3(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_phi(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_phi3(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_gemma2(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_gemma3(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_gpt2(const Config&, Weights&, const LoadOptions&);
std::unique_ptr<Model> load_gpt_neox(const Config&, Weights&, const LoadOptions&);

}  // namespace hearth::models
