// Who gets devices, as data: an ordered list of policies behind one interface. A policy sees the
// fleet through a Planner and keeps no state of its own, so a restart changes nothing.
#pragma once

#include <span>
#include <string_view>

#include "forge/core/planner.h"

namespace hearth::forge {

struct Policy {
  const char* name;
  const char* summary;
  void (*plan)(Planner& planner);
  // Places a job that has just come, when that takes nothing from anybody and a whole plan would do
  // the same; false: a plan is needed. Null: it always is.
  bool (*arrive)(Planner& planner, JobId id);
  Millis round_ms;  // between two plans; 0: after every event that changes something
};

// In the order in which tables list them.
std::span<const Policy> policies();
// Throws Error(kNotFound) that lists the names.
const Policy& policy_named(std::string_view name);

void plan_fifo(Planner& planner);
void plan_backfill(Planner& planner);
void plan_srtf(Planner& planner);
void plan_gavel(Planner& planner);
void plan_sia(Planner& planner);
void plan_hearth(Planner& planner);
void plan_hearth_still(Planner& planner);
bool arrive_hearth(Planner& planner, JobId id);

}  // namespace hearth::forge
