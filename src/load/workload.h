// What a load test sends and when: made from a rate and a seed, or read from a trace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace hearth::load {

struct PlannedRequest {
  Nanos at = 0;  // since the start of the test
  int32_t prompt_tokens = 0;
  int32_t output_tokens = 0;
};

struct WorkloadOptions {
  int64_t requests = 100;          // how many
  double requests_per_second = 0;  // mean arrival rate; 0: all at once
  // Shape of the Gamma distribution of the gaps: 1 is Poisson, below 1 comes in bursts, above 1 is
  // more even.
  double burstiness = 1.0;
  int32_t prompt_tokens = 512;  // per request
  int32_t output_tokens = 128;  // per request
  double length_spread =
      0;              // lengths are uniform in [(1 - spread) * n, (1 + spread) * n]; in [0, 1)
  uint64_t seed = 0;  // same seed, same workload
};

// Throws Error{kInvalidArgument} naming the option that makes no sense.
std::vector<PlannedRequest> make_workload(const WorkloadOptions& options);

// A trace of arrivals, prompt lengths and output lengths: CSV with a header line (names such as
// TIMESTAMP, ContextTokens, GeneratedTokens) or JSONL (timestamp in ms, input_length,
// output_length). Times start at 0 and are divided by `speed`; at most `requests` lines are used.
// Throws Error naming file, line and column.
std::vector<PlannedRequest> load_trace(const std::string& path, int64_t requests, double speed);

}  // namespace hearth::load
