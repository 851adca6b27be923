// What a bench reads: a model's folder or its .gguf file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "io/file_source.h"
#include "io/gguf.h"

namespace hearth::bench {

inline std::unique_ptr<io::FileSource> open_model(const std::string& path) {
  if (std::filesystem::is_directory(path)) return std::make_unique<io::Folder>(path);
  return std::make_unique<io::GgufFile>(path);
}

}  // namespace hearth::bench
