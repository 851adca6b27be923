// Quantised weights on disk as the kernels read them: mapped, never copied.
//
// A safetensors file. Levels are a tensor of the weight's own name (U8), scales are NAME.scales
// (F16), both in the layout of ops/quantize.h, which is the same on every machine. Metadata says
// for each "FORMAT OUT IN CHECKSUM"; `hearth.packed` is the version of all this, `hearth.source`
// what it was made from. Tensors that are not quantised may lie beside them as anywhere else.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"
#include "models/model.h"
#include "ops/quantize.h"

namespace hearth::models {

class PackedFile {
 public:
  // Nothing where `file` holds no packed weights. Otherwise checks every number and every checksum,
  // and throws Error{kDataLoss} naming file and tensor: a damaged file is never served.
  static std::optional<PackedFile> open(std::span<const std::byte> file, const std::string& where,
                                        int threads);

  const std::string& source() const { return source_; }
  Quantize quantize() const { return quantize_; }
  // A view into the file; null where there is none of that name.
  const ops::Weight* find(std::string_view name) const;
  // The tensors beside the packed ones.
  const io::TensorMap& others() const { return others_; }

 private:
  std::string source_;
  Quantize quantize_ = Quantize::kNone;
  std::map<std::string, ops::Weight, std::less<>> weights_;
  io::TensorMap others_;
};

struct PackedContents {
  std::string source;
  Quantize quantize = Quantize::kNone;
  std::span<const PackedWeight> weights;
  std::span<const io::TensorToStore> others;
};
// In one step: a reader finds the whole file or the one before.
void write_packed(const std::string& path, const PackedContents& contents);

}  // namespace hearth::models
