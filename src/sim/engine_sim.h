// One history of the engine in virtual time: the real scheduler, a model made of hashes, random
// traffic, a cost for every step. Everything follows from the seed.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "engine/stats.h"
#include "sim/fake_model.h"

namespace hearth::sim {

struct EngineSimOptions {
  // Decides everything that happens.
  uint64_t seed = 1;
  // A bug planted in the hands, to see that the laws find it.
  Fault fault = Fault::kNone;
};

struct EngineSimReport {
  uint64_t seed = 0;
  // Empty: every law held and every answer was the one that the request gets alone.
  std::string failure;
  engine::Stats stats;
  int32_t requests = 0;
  int32_t refused = 0;
  Nanos duration = 0;      // virtual
  Nanos longest_wait = 0;  // from arrival to the first step
  bool ok() const { return failure.empty(); }
};

EngineSimReport run_engine_history(const EngineSimOptions& options);

struct EngineSimSummary {
  int64_t histories = 0;
  // Of the first history that failed, after which no other is run; its text holds its seed.
  std::string failure;
  engine::Stats totals;  // counters of all histories; gauges stay 0
  int64_t requests = 0;
  int64_t refused = 0;
  Nanos longest_wait = 0;
  bool ok() const { return failure.empty(); }
};

// Histories of the seeds options.seed, options.seed + 1, ...
EngineSimSummary run_engine_histories(EngineSimOptions options, int64_t count);

}  // namespace hearth::sim
