// The safetensors format (huggingface.co/docs/safetensors): an 8-byte little-endian header length,
// a JSON header of name -> {dtype, shape, data_offsets}, then the data. One file, or shards that
// model.safetensors.index.json lists.
//
// A header is believed only after every number in it was checked; tensors are views into the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_source.h"

namespace hearth::io {

struct SafetensorsLimits {
  size_t header_bytes_max = size_t{100} << 20;  // the JSON header; the format's own limit
  int rank_max = 8;                             // dimensions of one tensor
  int shards_max = 10000;                       // files that an index may name
};

struct StoredTensor {
  std::string dtype;  // as the file says: "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // exactly count * bytes of one element
  std::string file;                 // where it is, for messages
};

using TensorMap = std::map<std::string, StoredTensor, std::less<>>;

// Parses one file. Throws Error naming the file and, where there is one, the tensor: kDataLoss for
// a truncated or inconsistent file, kTooLarge over a limit, kUnsupported for an unknown dtype.
TensorMap parse_safetensors(std::span<const std::byte> file, const std::string& where,
                            const SafetensorsLimits& limits = {});

// All tensors of a model: model.safetensors, or the shards of model.safetensors.index.json.
TensorMap load_safetensors(FileSource& files, const SafetensorsLimits& limits = {});

// The bytes of a safetensors file of these tensors, in this order; the data starts at a multiple of
// 64. The format allows no gaps, so put wide elements before narrow ones to keep each aligned.
struct TensorToStore {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};
std::string build_safetensors(std::span<const TensorToStore> tensors,
                              const std::map<std::string, std::string>& metadata = {});
// The same into a file, in one step and without a second copy in memory.
void write_safetensors(const std::string& path, std::span<const TensorToStore> tensors,
                       const std::map<std::string, std::string>& metadata = {});
// The __metadata__ of a file; empty where it has none. Throws as parse_safetensors does.
std::map<std::string, std::string> safetensors_metadata(std::span<const std::byte> file,
                                                        const std::string& where,
                                                        const SafetensorsLimits& limits = {});

}  // namespace hearth::io
