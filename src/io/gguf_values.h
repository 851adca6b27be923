// What reader and writer of GGUF files share of the format.
#pragma once

#include <cstdint>

namespace hearth::io::gguf {

constexpr uint64_t kDefaultAlignment = 32;

// The types of values, by the format's numbers.
enum ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
  kValueTypes,
};

}  // namespace hearth::io::gguf
