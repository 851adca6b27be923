// The laws of the engine, checked after every plan and commit. Each law returns what was broken, in
// words, or nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/scheduler.h"

namespace hearth::sim {

class EngineChecker {
 public:
  explicit EngineChecker(const engine::Scheduler& scheduler);

  // Budgets, slots, block tables, copies, who may write what, and who must advance.
  std::string check_plan(const engine::StepPlan& plan);
  // Every block is held by exactly those who say so, and the pool agrees with itself.
  std::string check_blocks();

 private:
  std::string check_sequence(const engine::StepSequence& sequence) const;
  std::string check_writes(const engine::StepPlan& plan);
  std::string check_copies(const engine::StepPlan& plan);
  std::string check_progress(const engine::StepPlan& plan);
  bool leaves_prompts_out() const;
  bool sits_out(const engine::Sequence& sequence) const;

  const engine::Scheduler& scheduler_;
  std::vector<int32_t> holders_;  // by block
  std::vector<uint64_t> slots_;   // by slot: the last step it was used in
  bool left_out_ = false;         // the last step had no prompts, though some waited
};

}  // namespace hearth::sim
