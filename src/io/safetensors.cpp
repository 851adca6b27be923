#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "io/json.h"

namespace hearth::io {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kAlignBytes = 64;
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

// Bits of one element; 4-bit types pack two to a byte.
struct StoredType {
  const char* name;
  uint64_t bits;
};
constexpr StoredType kStoredTypes[] = {
    {"F64", 64},    {"F32", 32}, {"F16", 16}, {"BF16", 16}, {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"F4", 4},   {"I64", 64}, {"I32", 32},  {"I16", 16},    {"I8", 8},
    {"U64", 64},    {"U32", 32}, {"U16", 16}, {"U8", 8},    {"BOOL", 8},    {"C64", 64},
};

uint64_t bits_of(const std::string& dtype, const std::string& where, const std::string& name) {
  for (const StoredType& type : kStoredTypes) {
    if (dtype == type.name) return type.bits;
  }
  throw_error(ErrorCode::kUnsupported, where, "tensor '{}' has the unknown dtype '{}'", name,
              dtype);
}

uint64_t read_header_length(std::span<const std::byte> file, const std::string& where,
                            const SafetensorsLimits& limits) {
  if (file.size() < kLengthBytes) {
    throw_error(ErrorCode::kDataLoss, where,
                "{} bytes are too few for a safetensors file; download it again", file.size());
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > limits.header_bytes_max) {
    throw_error(ErrorCode::kTooLarge, where,
                "header of {} bytes is over the limit of {}; is this a safetensors file?", length,
                limits.header_bytes_max);
  }
  if (length > file.size() - kLengthBytes) {
    throw_error(ErrorCode::kDataLoss, where,
                "truncated: the header has {} bytes and the file only {}; download it again",
                length, file.size());
  }
  return length;
}

// A count that the header states; negative, fractional and huge numbers are refused here.
uint64_t count_of(const Json& number, const std::string& where, const std::string& name,
                  const char* field) {
  if (!number.is_number_unsigned()) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}': {} must hold whole numbers from 0 on, found {}", name, field,
                dump_json(number));
  }
  return number.get<uint64_t>();
}

const Json& field_of(const Json& entry, const std::string& where, const std::string& name,
                     const char* field) {
  const auto it = entry.find(field);
  if (it == entry.end()) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' has no field '{}'", name, field);
  }
  return *it;
}

std::vector<int64_t> shape_of(const Json& entry, const std::string& where, const std::string& name,
                              int rank_max) {
  const Json& dims = field_of(entry, where, name, "shape");
  if (!dims.is_array() || dims.size() > static_cast<size_t>(rank_max)) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}': shape must be a list of at most {} numbers", name, rank_max);
  }
  std::vector<int64_t> shape;
  for (const Json& dim : dims) {
    const uint64_t count = count_of(dim, where, name, "shape");
    if (count > uint64_t{INT64_MAX}) {
      throw_error(ErrorCode::kDataLoss, where, "tensor '{}': dimension {} is too large", name,
                  count);
    }
    shape.push_back(static_cast<int64_t>(count));
  }
  return shape;
}

// Bytes that the shape asks for, or an Error where the product does not fit.
uint64_t bytes_of(const StoredTensor& tensor, uint64_t bits, const std::string& where,
                  const std::string& name) {
  uint64_t total = bits;
  for (int64_t dim : tensor.shape) {
    if (__builtin_mul_overflow(total, static_cast<uint64_t>(dim), &total)) {
      throw_error(ErrorCode::kDataLoss, where, "tensor '{}': the shape is larger than memory",
                  name);
    }
  }
  if (total % 8 != 0) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' does not fill whole bytes", name);
  }
  return total / 8;
}

StoredTensor parse_entry(const Json& entry, std::span<const std::byte> data,
                         const std::string& where, const std::string& name, int rank_max) {
  if (!entry.is_object()) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}': expected an object", name);
  }
  const Json& dtype = field_of(entry, where, name, "dtype");
  const Json& offsets = field_of(entry, where, name, "data_offsets");
  if (!dtype.is_string()) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}': dtype must be a string", name);
  }
  if (!offsets.is_array() || offsets.size() != 2) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}': data_offsets must be two numbers", name);
  }
  const uint64_t begin = count_of(offsets[0], where, name, "data_offsets");
  const uint64_t end = count_of(offsets[1], where, name, "data_offsets");
  if (begin > end || end > data.size()) {
    throw_error(ErrorCode::kDataLoss, where,
                "tensor '{}' lies at bytes {} to {} of {}; the file is truncated or damaged: "
                "download it again",
                name, begin, end, data.size());
  }
  StoredTensor tensor;
  tensor.dtype = dtype.get<std::string>();
  tensor.shape = shape_of(entry, where, name, rank_max);
  tensor.data = data.subspan(begin, end - begin);
  tensor.file = where;
  const uint64_t expected = bytes_of(tensor, bits_of(tensor.dtype, where, name), where, name);
  if (expected != end - begin) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' needs {} bytes for its shape and has {}",
                name, expected, end - begin);
  }
  return tensor;
}

// The format's rule: the tensors cover the data exactly, without overlap, hole or rest.
void check_layout(const TensorMap& tensors, std::span<const std::byte> data,
                  const std::string& where) {
  std::vector<std::pair<std::span<const std::byte>, const std::string*>> ranges;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.data.empty()) ranges.emplace_back(tensor.data, &name);
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first.data() < b.first.data(); });
  const std::byte* expected = data.data();
  const std::string* before = nullptr;
  for (const auto& [range, name] : ranges) {
    if (range.data() < expected) {
      throw_error(ErrorCode::kDataLoss, where, "tensors '{}' and '{}' overlap", *before, *name);
    }
    if (range.data() > expected) {
      throw_error(ErrorCode::kDataLoss, where, "{} bytes before tensor '{}' belong to no tensor",
                  range.data() - expected, *name);
    }
    expected = range.data() + range.size();
    before = name;
  }
  const std::byte* end = data.data() + data.size();
  if (expected != end) {
    throw_error(ErrorCode::kDataLoss, where, "{} bytes at the end belong to no tensor",
                end - expected);
  }
}

// The shards an index names, each once. A name with a path in it could leave the folder.
std::vector<std::string> shards_of(const Json& index, const std::string& where, int shards_max) {
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object()) {
    throw_error(ErrorCode::kDataLoss, where, "field 'weight_map' must be an object");
  }
  std::vector<std::string> shards;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string()) {
      throw_error(ErrorCode::kDataLoss, where, "weight_map['{}'] must be a file name", name);
    }
    shards.push_back(file.get<std::string>());
  }
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  if (shards.size() > static_cast<size_t>(shards_max)) {
    throw_error(ErrorCode::kTooLarge, where, "{} shards are over the limit of {}", shards.size(),
                shards_max);
  }
  for (const std::string& shard : shards) {
    if (shard.empty() || shard.find('/') != std::string::npos || shard == "." || shard == "..") {
      throw_error(ErrorCode::kDataLoss, where, "'{}' is not the name of a file beside the index",
                  shard);
    }
  }
  return shards;
}

TensorMap load_shards(FileSource& files, const SafetensorsLimits& limits) {
  const std::string where = files.where(kIndexFile);
  const Json index = parse_json(files.text(kIndexFile), where);
  TensorMap all;
  for (const std::string& shard : shards_of(index, where, limits.shards_max)) {
    TensorMap part = parse_safetensors(files.bytes(shard), files.where(shard), limits);
    for (auto& [name, tensor] : part) {
      const auto [it, added] = all.emplace(name, tensor);
      if (!added) {
        throw_error(ErrorCode::kDataLoss, tensor.file, "tensor '{}' is in {} as well", name,
                    it->second.file);
      }
    }
  }
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (all.contains(name)) continue;
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' is not in {}; download the shards again",
                name, file.get<std::string>());
  }
  return all;
}

Json read_header(std::span<const std::byte> file, const std::string& where,
                 const SafetensorsLimits& limits) {
  const uint64_t length = read_header_length(file, where, limits);
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  Json header = parse_json(text, where + ": header");
  if (!header.is_object()) throw_error(ErrorCode::kDataLoss, where, "header is not an object");
  return header;
}

// The length and the header of a file of these tensors.
std::string build_header(std::span<const TensorToStore> tensors,
                         const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const TensorToStore& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.data.size()}}};
    offset += tensor.data.size();
  }
  std::string text = dump_json(header);
  while ((text.size() + kLengthBytes) % kAlignBytes != 0) text += ' ';
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), kLengthBytes) + text;
}

}  // namespace

TensorMap parse_safetensors(std::span<const std::byte> file, const std::string& where,
                            const SafetensorsLimits& limits) {
  const Json header = read_header(file, where, limits);
  const auto data = file.subspan(kLengthBytes + read_header_length(file, where, limits));
  TensorMap tensors;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    tensors.emplace(name, parse_entry(entry, data, where, name, limits.rank_max));
  }
  check_layout(tensors, data, where);
  return tensors;
}

TensorMap load_safetensors(FileSource& files, const SafetensorsLimits& limits) {
  if (files.has(kSingleFile)) {
    return parse_safetensors(files.bytes(kSingleFile), files.where(kSingleFile), limits);
  }
  if (files.has(kIndexFile)) return load_shards(files, limits);
  throw_error(ErrorCode::kNotFound, files.where(kSingleFile),
              "no weights: expected {} or {} (other formats, such as pytorch_model.bin, must be "
              "converted to safetensors first)",
              kSingleFile, kIndexFile);
}

std::map<std::string, std::string> safetensors_metadata(std::span<const std::byte> file,
                                                        const std::string& where,
                                                        const SafetensorsLimits& limits) {
  const Json header = read_header(file, where, limits);
  std::map<std::string, std::string> metadata;
  const auto it = header.find("__metadata__");
  if (it == header.end()) return metadata;
  if (!it->is_object()) throw_error(ErrorCode::kDataLoss, where, "__metadata__ is not an object");
  for (const auto& [key, value] : it->items()) {
    if (value.is_string()) metadata[key] = value.get<std::string>();
  }
  return metadata;
}

std::string build_safetensors(std::span<const TensorToStore> tensors,
                              const std::map<std::string, std::string>& metadata) {
  std::string file = build_header(tensors, metadata);
  size_t bytes = file.size();
  for (const TensorToStore& tensor : tensors) bytes += tensor.data.size();
  file.reserve(bytes);
  for (const TensorToStore& tensor : tensors) {
    file.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
  }
  return file;
}

void write_safetensors(const std::string& path, std::span<const TensorToStore> tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  const std::string header = build_header(tensors, metadata);
  file.append(std::as_bytes(std::span(header)));
  for (const TensorToStore& tensor : tensors) file.append(tensor.data);
  file.commit();
}

}  // namespace hearth::io
