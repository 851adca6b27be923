// The half of the GGUF export that writes an architecture's keys, apart from its tensors.
#pragma once

#include "io/gguf_writer.h"
#include "models/config.h"
#include "models/gguf.h"
#include "models/model.h"

namespace hearth::models {

// From the config, and from what the loaded model says of itself. Factors of frequencies become
// tensors. Throws Error{kUnsupported} naming what the format cannot hold.
void write_gguf_keys(const Config& config, const GgufFamily& family, const ModelInfo& info,
                     io::GgufWriter& out);

}  // namespace hearth::models
