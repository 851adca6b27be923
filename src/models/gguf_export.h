// A Hugging Face folder as a GGUF file that llama.cpp runs.
#pragma once

#include <optional>
#include <string>

#include "io/file_source.h"
#include "io/gguf_writer.h"
#include "models/model.h"

namespace hearth::models {

// The type of matrices in the file. Vectors are always f32. In q8_0 and q4_0, rows that do not fill
// whole blocks are f16 instead, and the head, or a table that is the head as well, is q8_0.
enum class GgufExportType : uint8_t { kAsStored, kF32, kF16, kBF16, kQ8_0, kQ4_0 };

struct GgufExportOptions {
  // Of all matrices but those that the type cannot hold.
  GgufExportType type = GgufExportType::kAsStored;
  std::string name;  // general.name
};

// Adds general.*, the architecture's keys and all tensors to the writer, which reads `files` until
// it has written. Throws Error naming what llama.cpp's format cannot hold. Gives what the model is.
ModelInfo export_gguf(io::FileSource& files, const GgufExportOptions& options,
                      io::GgufWriter& writer);

}  // namespace hearth::models
