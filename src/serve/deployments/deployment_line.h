// One deployment while the server runs: its bucket, its counters, and the meters of its requests.
// Any thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "engine/rate_bucket.h"
#include "serve/deployments/deployments.h"

namespace hearth::serve {

class DeploymentLine : public std::enable_shared_from_this<DeploymentLine> {
 public:
  DeploymentLine(Deployment deployment, const Clock& clock);

  Deployment deployment() const;
  // A new name, rate or spill-over.
  void change(const Deployment& deployment);
  // Pours the prompts into the bucket, or says why not.
  Placement place(std::span<const engine::Request> prompts, const engine::TokenPrices& prices);
  DeploymentStatus status() const;
  void tick();

 private:
  class Meter;
  struct Mark {
    Nanos at = 0;
    DeploymentStatus counts;
    engine::Cost used = 0;
  };

  bool provisioned() const {
    return deployment_.service_class == engine::ServiceClass::kProvisioned;
  }
  engine::Cost estimate(const engine::Request& prompt, const engine::TokenPrices& prices) const;
  void describe(Placement& placement, Nanos now);

  const Clock& clock_;
  mutable std::mutex mutex_;
  // All guarded by mutex_.
  Deployment deployment_;
  mutable engine::RateBucket bucket_;
  DeploymentStatus counts_;
  engine::Cost used_ = 0;    // of everything that came to an end, or nearly
  double usual_output_ = 0;  // tokens of an answer, of late
  std::deque<Mark> marks_;   // one a tick, over the last minute
};

}  // namespace hearth::serve
