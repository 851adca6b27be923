// Weights in and out of Hugging Face directories.
#pragma once

#include <map>
#include <string>

#include "io/json_fwd.h"
#include "train/model.h"

namespace hearth::train {

// Fills the master weights from the safetensors of a directory. Throws Error naming a missing,
// misshapen or superfluous tensor.
void load_weights(const std::string& folder, Parameters& parameters);

struct SaveOptions {
  DType dtype = DType::kBF16;  // of the weights: bf16 or f32
  std::string tokenizer = "";  // folder whose tokenizer files are copied; empty: none
};

// Writes model.safetensors, config.json, generation_config.json and the tokenizer's files, which
// transformers, Hearth and llama.cpp's converter read.
void save_model(const std::string& folder, Model& model, const SaveOptions& options);

}  // namespace hearth::train
