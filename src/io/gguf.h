// The GGUF format, versions 2 and 3: a little-endian header of typed key-value pairs, a table of
// tensors, then their data. One file, or the parts that `split.count` announces.
//
// A header is believed only after every number in it was checked; strings, arrays and tensors are
// views into the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "io/file_source.h"
#include "io/safetensors.h"

namespace hearth::io {

// The one name under which a source of files offers a GGUF model.
inline constexpr const char* kGgufFile = "model.gguf";

struct GgufLimits {
  uint64_t pairs_max = 1 << 16;        // key-value pairs
  uint64_t tensors_max = 1 << 20;      // tensors of one file
  uint64_t key_bytes_max = 65535;      // of a key or a tensor's name; the format's own limit
  uint32_t rank_max = 4;               // dimensions of one tensor; the format's own limit
  uint64_t alignment_max = 1 << 20;    // general.alignment
  uint64_t elements_max = 1ULL << 40;  // of one tensor
  uint64_t parts_max = 1000;           // files of a split model
};

// How the elements of a tensor are stored: `block_bytes` for every `block_elements` of a row.
struct GgufType {
  uint32_t id;
  const char* name;
  uint32_t block_elements;
  uint32_t block_bytes;
};
// Null for an unknown one.
const GgufType* gguf_type(uint32_t id);
const GgufType* gguf_type(std::string_view name);

// Elements of one type that lie in a row; strings were found well-formed.
class GgufArray {
 public:
  // The kinds that are told apart: everything else is a number.
  enum class Kind : uint8_t { kNumbers, kStrings };
  GgufArray(uint32_t type, uint64_t count, std::span<const std::byte> bytes)
      : type_(type), count_(count), bytes_(bytes) {}
  Kind kind() const;
  uint64_t count() const { return count_; }
  std::vector<std::string_view> strings() const;  // empty for numbers
  std::vector<double> numbers() const;            // empty for strings

 private:
  uint32_t type_;
  uint64_t count_;
  std::span<const std::byte> bytes_;
};

using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string_view, GgufArray>;

// The pairs of a file. Each reader gives nothing for a key that is not there and throws Error
// naming the key where its type is another.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  GgufMetadata(std::map<std::string, GgufValue, std::less<>> pairs, std::string where)
      : pairs_(std::move(pairs)), where_(std::move(where)) {}

  bool has(std::string_view key) const { return pairs_.contains(key); }
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  // A single number counts as a list of one.
  std::optional<std::vector<double>> numbers(std::string_view key) const;

  // A key that must be there.
  int64_t required_integer(std::string_view key) const;
  std::string_view required_text(std::string_view key) const;

  const std::string& where() const { return where_; }

 private:
  const GgufValue* find(std::string_view key) const;
  [[noreturn]] void wrong_type(std::string_view key, const char* expected) const;

  std::map<std::string, GgufValue, std::less<>> pairs_;
  std::string where_;
};

// The tensors' shapes are outermost first, as everywhere in Hearth; dtype is the name of their
// GgufType: "F32", "Q4_K".
struct Gguf {
  GgufMetadata metadata;
  TensorMap tensors;
};

// Parses one file. Throws Error naming the file and, where there is one, the key or tensor:
// kDataLoss for a truncated or inconsistent file, kTooLarge over a limit, kUnsupported for another
// version or byte order, or an unknown type.
Gguf parse_gguf(std::span<const std::byte> file, const std::string& where,
                const GgufLimits& limits = {});

// The model that `files` offers as kGgufFile, with the tensors of all its parts.
Gguf load_gguf(FileSource& files, const GgufLimits& limits = {});

// One GGUF file as a source: it is kGgufFile; its neighbours of the same kind are there for split
// models. Other names are unknown.
class GgufFile final : public FileSource {
 public:
  explicit GgufFile(std::string path);
  bool has(const std::string& name) const override;
  std::span<const std::byte> bytes(const std::string& name) override;
  void release_pages() override;
  size_t mapped_bytes() const override;
  size_t move_to_huge_pages(const std::stop_token& stop) override;
  std::string where(const std::string& name) const override;

 private:
  std::string path_;
  std::map<std::string, MappedFile> files_;
};

}  // namespace hearth::io
