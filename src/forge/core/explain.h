// Why a job waits, runs where it runs, or was moved: a sentence, and a table of the pools with what
// speaks for or against each. Read-only.
#pragma once

#include <string>
#include <vector>

#include "forge/core/scheduler.h"

namespace hearth::forge {

struct PoolView {
  std::string cluster;
  std::string kind;
  std::string verdict;  // "eligible", or the first reason against it
  int32_t devices = 0;  // present
  int32_t free = 0;     // wholly free, in the plan
  int32_t largest = 0;  // the most on one node
};

struct Explanation {
  std::string sentence;
  std::vector<PoolView> pools;

  std::string text() const;  // the sentence and the table
};

Explanation explain(const Scheduler& scheduler, JobId id);

}  // namespace hearth::forge
