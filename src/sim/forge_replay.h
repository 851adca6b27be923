// A trace of jobs on the real core in virtual time, with agents that answer at once and workers
// that progress at the rates of their model. No failures: those are the histories' part.
#pragma once

#include <string>
#include <vector>

#include "forge/core/policy.h"

namespace hearth::sim {

// From `work` done on, the job runs at these rates (work a second by kind and workers).
struct ReplayPhase {
  double work = 0;
  std::shared_ptr<const forge::RateTable> rates;
};

struct ReplayJob {
  forge::JobSpec spec;
  forge::Millis submit_at = 0;
  double work = 0;                  // seconds at one worker's rate when there are no phases
  std::vector<ReplayPhase> phases;  // by work; empty: one unit of work a second at min_workers
};

// The cluster at one moment.
struct ReplaySample {
  forge::Millis at = 0;
  int32_t busy = 0;     // devices of running jobs
  int32_t waiting = 0;  // jobs without a place
};

struct ReplayReport {
  std::string policy;
  int32_t jobs = 0;
  int32_t ended = 0;
  double busy = 0;             // device time used of what there was, to the last arrival
  double busy_in_backlog = 0;  // the same while some job waited
  double backlog_hours = 0;
  double mean_hours = 0;  // from submission to end
  double p99_hours = 0;
  double mean_wait_hours = 0;  // to the first start
  double makespan_hours = 0;
  double service_met = 0;        // of the jobs with a promised level, those that got it
  double restarts = 0;           // a job
  double lost_device_hours = 0;  // spent restarting
  double energy_kwh = 0;         // of devices in use, at the power that their kinds name
  double carbon_kg = 0;          // of that, where it was drawn
  std::vector<ReplaySample> samples;
};

ReplayReport replay_forge(const forge::FleetSpec& fleet, const std::vector<ReplayJob>& jobs,
                          const forge::Policy& policy);

// Devices in use and jobs waiting over time, as a picture.
std::string to_svg(const ReplayReport& report, int32_t devices);

}  // namespace hearth::sim
