// The tokens of a model: text by id and id by text. Immutable once built.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::tokenizer {

inline constexpr int32_t kNoToken = -1;

uint64_t hash_bytes(std::string_view bytes);

// Grows by add(); lookups are open addressing over one arena of bytes.
class Vocab {
 public:
  void reserve(size_t tokens, size_t bytes);

  // Ids need not come in order. A text that is added twice keeps its last id; an id, its last text.
  void add(std::string_view text, int32_t id);

  int32_t find(std::string_view text) const;  // kNoToken where there is none
  // Empty for an id that has no token; has() tells a hole from an empty token.
  std::string_view text(int32_t id) const;
  bool has(int32_t id) const;
  int32_t size() const { return static_cast<int32_t>(entries_.size()); }  // highest id + 1
  int32_t count() const { return static_cast<int32_t>(used_); }           // distinct texts

 private:
  struct Entry {
    uint32_t offset = 0;
    int32_t length = -1;  // -1: a hole
  };

  void grow(size_t slots);

  struct Slot {
    uint32_t hash = 0;
    int32_t id = kNoToken;
    uint32_t offset = 0;
    uint32_t length = 0;
  };

  std::string arena_;
  std::vector<Entry> entries_;  // by id
  std::vector<Slot> slots_;     // a power of two
  size_t used_ = 0;
};

}  // namespace hearth::tokenizer
