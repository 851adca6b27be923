// Weights in and out of Hugging Face directories.
#pragma once

#include <memory>
#include <string>

#include "io/file_source.h"
#include "models/model.h"
#include "train/model.h"

namespace hearth::train {

struct LoadWeightsOptions {
  // Of frozen projections; the rule for the other parts is that of serving.
  models::Quantize quantize = models::Quantize::kNone;
  int threads = 1;  // that quantise
};

// Fills the model's own weights from safetensors: trained ones are copied to f32, frozen ones are
// views of the files where these hold the compute type. What adapters added is left alone. Throws
// Error naming a missing, misshapen or superfluous tensor.
void load_weights(std::shared_ptr<io::FileSource> files, Model& model,
                  const LoadWeightsOptions& options = {});
void load_weights(const std::string& folder, Model& model, const LoadWeightsOptions& options = {});

struct SaveOptions {
  DType dtype = DType::kBF16;  // of the weights: bf16 or f32
  std::string tokenizer = "";  // folder whose tokenizer files are copied; empty: none
};

// Writes model.safetensors, config.json, generation_config.json and the tokenizer's files, which
// transformers, Hearth and llama.cpp's converter read. The model's own weights are trained ones.
void save_model(const std::string& folder, Model& model, const SaveOptions& options);

}  // namespace hearth::train
