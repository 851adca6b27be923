#include "forge/core/types.h"

#include <algorithm>

#include "forge/core/names.h"

namespace hearth::forge {

const char* to_string(Tier tier) { return name_of(tier, kTierNames); }

const char* to_string(JobType type) { return name_of(type, kTypeNames); }

int32_t service_level_milli(Tier tier) {
  constexpr int32_t kLevels[] = {950, 700, 0};
  return kLevels[static_cast<int>(tier)];
}

double RateTable::at(KindId kind, int32_t workers) const {
  if (kind < 0 || kind >= static_cast<KindId>(rates.size())) return 0;
  const std::vector<double>& row = rates[static_cast<size_t>(kind)];
  if (row.empty()) return 0;
  return row[static_cast<size_t>(
      std::clamp<int32_t>(workers, 0, static_cast<int32_t>(row.size()) - 1))];
}

}  // namespace hearth::forge
