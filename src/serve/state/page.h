// A part of a list, as OpenAI pages them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::serve {

// After the entry with that id.
struct Page {
  std::string after;
  int64_t limit = 20;
  bool ascending = false;
};

template <typename T>
struct Listed {
  std::vector<T> entries;
  bool has_more = false;
};

}  // namespace hearth::serve
