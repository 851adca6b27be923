// Writes GGUF version 3, as llama.cpp reads it. Pairs and tensors first, then write(): the data of
// each tensor is asked for when it is its turn, so a model larger than memory goes through.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/gguf.h"

namespace hearth::io {

class GgufWriter {
 public:
  // Takes bytes of a tensor, in order and in parts of any size.
  using Sink = std::function<void(std::span<const std::byte>)>;

  void integer(std::string_view key, uint32_t value);
  void number(std::string_view key, float value);
  void flag(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void texts(std::string_view key, std::span<const std::string> values);
  void integers(std::string_view key, std::span<const int32_t> values);
  void numbers(std::string_view key, std::span<const float> values);
  void bytes(std::string_view key, std::string_view values);

  // shape: outermost first. `fill` gives exactly the bytes of that shape and type.
  void tensor(const std::string& name, const GgufType& type, std::span<const int64_t> shape,
              std::function<void(const Sink&)> fill);

  // Bytes of tensors written so far, of all.
  using Progress = std::function<void(int64_t done, int64_t total)>;
  // In one step: a reader sees the whole file or none. Throws Error naming path or tensor.
  void write(const std::string& path, const Progress& progress = {}) const;

 private:
  struct Tensor {
    std::string name;
    uint64_t bytes = 0;
    std::function<void(const Sink&)> fill;
  };
  void pair(std::string_view key, uint32_t type);
  void put_text(std::string& to, std::string_view text);

  uint64_t pairs_ = 0;
  uint64_t offset_ = 0;  // of the next tensor's data
  std::string values_;   // the pairs as written
  std::string table_;    // the tensors as written
  std::vector<Tensor> tensors_;
};

}  // namespace hearth::io
