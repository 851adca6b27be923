// The families in training: each turns a config.json into a DecoderShape, the names of its weights
// included. One file a family, as in models/, which serves them.
#pragma once

#include <string>

#include "io/json_fwd.h"
#include "models/config.h"
#include "train/shape.h"

namespace hearth::train {

// Finds the family by model_type. `config` becomes the config.json to save: keys that other
// programs need and this one leaves out are set.
DecoderShape describe(io::Json& config, const std::string& where);

// model_type of every family, in the order of the list.
std::string known_families();

DecoderShape describe_llama(const models::Config& config, io::Json& saved);
DecoderShape describe_mistral(const models::Config& config, io::Json& saved);
DecoderShape describe_qwen2(const models::Config& config, io::Json& saved);
DecoderShape describe_qwen3(const models::Config& config, io::Json& saved);
DecoderShape describe_phi(const models::Config& config, io::Json& saved);
DecoderShape describe_phi3(const models::Config& config, io::Json& saved);
DecoderShape describe_gemma2(const models::Config& config, io::Json& saved);
DecoderShape describe_gemma3(const models::Config& config, io::Json& saved);
DecoderShape describe_gpt2(const models::Config& config, io::Json& saved);
DecoderShape describe_gpt_neox(const models::Config& config, io::Json& saved);

}  // namespace hearth::train
