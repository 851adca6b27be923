// A LoRA adapter as a GGUF file that llama.cpp adds to a base of the same architecture (--lora).
#pragma once

#include "adapters/peft.h"
#include "io/gguf_writer.h"
#include "io/json_fwd.h"

namespace hearth::train {

// `config` is the base's config.json, `where` its name in errors. The writer reads `adapter` until
// it has written. Throws Error naming a module that the format has no name for, and for DoRA, which
// it cannot hold.
void export_adapter_gguf(const adapters::Adapter& adapter, const io::Json& config,
                         const std::string& where, io::GgufWriter& writer);

}  // namespace hearth::train
