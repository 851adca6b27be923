// Jobs for tests of the scheduler.
#pragma once

#include "forge/core/job.h"

namespace hearth::forge {

// A gang of `workers`, all or nothing.
inline JobSpec job_of(VcId vc, int32_t workers) {
  JobSpec spec;
  spec.vc = vc;
  spec.min_workers = spec.max_workers = workers;
  return spec;
}

}  // namespace hearth::forge
