// The input file of a batch: which lines are requests, and which are at fault.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "serve/batches/batch_store.h"
#include "serve/server_options.h"

namespace hearth::serve {

struct LineFault {
  std::string code;
  std::string message;
  std::string param;  // empty: the line as a whole
  int64_t line = 0;   // 0: the file as a whole
};

// Hands the items over some at a time, in order. Returns what is wrong with the file, at most
// kFaultsMax of it; empty: everything is well, and `total` items were found.
std::vector<LineFault> read_batch_input(
    const std::string& path, const std::string& endpoint, const ServiceLimits& limits,
    const std::function<void(const std::vector<BatchItem>&)>& take, int64_t& total);

inline constexpr size_t kFaultsMax = 100;

}  // namespace hearth::serve
