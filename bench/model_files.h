// What a bench reads: a model's folder or its .gguf file, and in which numbers it computes.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "io/file_source.h"
#include "io/gguf.h"
#include "models/model.h"
#include "tensor/dtype.h"

namespace hearth::bench {

inline std::unique_ptr<io::FileSource> open_model(const std::string& path) {
  if (std::filesystem::is_directory(path)) return std::make_unique<io::Folder>(path);
  return std::make_unique<io::GgufFile>(path);
}

// As their flags say it.
struct Numbers {
  std::string quantize_to = "stored";
  std::string kv_in = "bf16";

  models::Quantize quantize() const {
    if (quantize_to == "stored") return models::Quantize::kNone;
    return quantize_to == "q8" ? models::Quantize::kQ8 : models::Quantize::kQ4;
  }
  DType kv() const {
    if (kv_in == "bf16") return DType::kBF16;
    return kv_in == "i8" ? DType::kI8 : DType::kF32;
  }
};

inline void add_numbers(CLI::App& app, Numbers& numbers) {
  app.add_option("--quantize", numbers.quantize_to, "while loading")
      ->check(CLI::IsMember({"stored", "q8", "q4"}));
  app.add_option("--kv", numbers.kv_in, "keys and values")
      ->check(CLI::IsMember({"bf16", "i8", "f32"}));
}

}  // namespace hearth::bench
