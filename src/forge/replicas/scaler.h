// How many replicas a deployment should have, as a pure function of what was seen over time: more
// when requests wait, fewer when for a while one replica less would do, never fewer than the PTU
// that were promised need. No clock, no threads.
#pragma once

#include <cstdint>

#include "forge/core/types.h"

namespace hearth::forge {

struct ScalerTerms {
  int32_t min_replicas = 1;
  int32_t max_replicas = 1;
  double waiting_each = 1;   // requests that may wait, for each ready replica
  double requests_each = 8;  // that one replica serves well at a time
  double ptu = 0;            // promised, over all replicas
  Millis up_after_ms = 2'000;
  Millis down_after_ms = 60'000;
};

struct DeploymentLoad {
  int32_t replicas = 0;  // that Forge has, ready or not
  int32_t ready = 0;
  int64_t running = 0;
  int64_t waiting = 0;
  double ptu_each = 0;  // capacity of a replica; 0: not known
};

class Scaler {
 public:
  explicit Scaler(ScalerTerms terms) : terms_(terms) {}

  // To be asked about once a second; time never goes back.
  int32_t wanted(Millis now, const DeploymentLoad& load);

 private:
  int32_t least(const DeploymentLoad& load) const;

  ScalerTerms terms_;
  Millis crowded_since_ = -1;
  Millis roomy_since_ = -1;
};

}  // namespace hearth::forge
