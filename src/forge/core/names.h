// Words for the enums and numbers of Forge, as files, requests and tables use them.
#pragma once

#include <array>
#include <string>

#include "base/error.h"
#include "forge/core/types.h"

namespace hearth::forge {

// In the order of their enums.
inline constexpr std::array kTierNames = {"premium", "standard", "basic"};
inline constexpr std::array kTypeNames = {"training", "inference", "batch", "command"};
inline constexpr std::array kLocalityNames = {"any", "region", "cluster", "node"};
inline constexpr std::array kSpawnNames = {"per-worker", "per-node"};
inline constexpr std::array kCheckpointNames = {"library", "process", "none"};
inline constexpr std::array kConnectionsNames = {"refuse", "close"};

template <typename Enum, size_t N>
const char* name_of(Enum value, const std::array<const char*, N>& names) {
  return names[static_cast<size_t>(value)];
}

template <typename Enum, size_t N>
Enum choice(const std::string& name, const std::array<const char*, N>& names, const char* field) {
  std::string all;
  for (size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<Enum>(i);
    all += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  throw_error(ErrorCode::kInvalidArgument, field, "no '{}'; take one of: {}", name, all);
}

// The number of what is called `name` in one of a fleet's lists.
template <typename List>
int32_t index_of(const List& list, const std::string& name, const char* field) {
  std::string all;
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].name == name) return static_cast<int32_t>(i);
    all += (i == 0 ? "" : ", ") + list[i].name;
  }
  throw_error(ErrorCode::kInvalidArgument, field, "no '{}' in this fleet; there are: {}", name,
              all.empty() ? "none" : all);
}

}  // namespace hearth::forge
