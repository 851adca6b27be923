// A plan as people read it: what takes memory, and how many devices each way of dividing needs.
#pragma once

#include <string>
#include <vector>

#include "train/plan.h"

namespace hearth::train {

struct PlanColumn {
  std::string title;  // "full", "LoRA r=8"
  PlanRequest request;
};

struct DeviceFleet {
  double bytes = 80e9;   // memory of one device
  int64_t per_node = 8;  // devices of one machine
  int64_t devices = 0;   // show what each of so many holds; 0: of the fewest that do
};

// The first column's model and tokens are those of all.
std::string plan_table(const std::vector<PlanColumn>& columns, const DeviceFleet& fleet);
io::Json plan_json(const std::vector<PlanColumn>& columns, const DeviceFleet& fleet);

// "349 GB", "1.05 TB": three digits, powers of 1000.
std::string bytes_text(double bytes);
// "174.6 B", "18.9 M".
std::string count_text(int64_t count);

}  // namespace hearth::train
