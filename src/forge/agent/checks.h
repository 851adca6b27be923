// What an agent checks on its own node. Each check is short; a whole round costs tens of
// milliseconds. Nothing here decides anything: see core/health.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "forge/core/health.h"

namespace hearth::forge {

// How far away a node's server is.
struct Reach {
  double round_trip_ms = 0;  // the shortest of a few
  double ahead_ms = 0;       // its clock, of this node's; to a second
};

struct CheckOptions {
  std::string folder;           // on the disk that matters
  int32_t gpus = -1;            // device files /dev/nvidiaN that there must be; -1: not looked at
  std::string command = {};     // a site's own check: exits with 0 when all is well; empty: none
  int64_t command_ms = 30'000;  // and it may take so long
  int64_t disk_ms_max = 5'000;  // for 1 MiB written, forced to the disk and read back
  int64_t memory_bytes = int64_t{16} << 20;  // written with patterns and read back
  std::string baselines = {};       // a file (baselines.h); empty: speeds are not looked at
  std::optional<Reach> reach = {};  // where somebody has asked the server
  double ahead_ms_max = 5'000;      // either way
};

// In a fixed order: disk, space, memory, arithmetic, memory errors, devices, clock, speeds of
// memory and link, the site's.
std::vector<CheckResult> run_checks(const CheckOptions& options);

// One each, for tests: what was seen is passed in.
CheckResult check_pattern(const std::vector<uint64_t>& memory, uint64_t pattern);
// A product of small whole numbers, exact in floating point, on every core in turn.
CheckResult check_arithmetic();
CheckResult check_clock(const Reach& reach, double ahead_ms_max);

}  // namespace hearth::forge
