// The contracts of this server: who has which, whether a request fits into one, and what was used.
// Any thread.
//
// A provisioned deployment has a bucket (engine/rate_bucket.h) into which each request is poured by
// estimate when it is accepted, and corrected by what it came to when it is gone. The engine is
// told every rate, and shares the machine by them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "serve/deployments/deployment.h"
#include "serve/deployments/deployment_store.h"
#include "serve/engine_loop.h"

namespace hearth::serve {

class DeploymentLine;

// What a client wants of the contracts that its tenant has (OpenAI's service_tier).
enum class TierWish : uint8_t { kBest, kStandard, kBatch };

// How a request is served.
struct Placement {
  engine::ServiceClass service_class = engine::ServiceClass::kStandard;
  engine::DeploymentId deployment = engine::kNoDeployment;
  // One for each prompt; none without a deployment.
  std::vector<std::shared_ptr<RequestMeter>> meters;
  std::string name;  // of the deployment; empty: there is none
  bool provisioned = false;
  bool spilled = false;
  Nanos retry_after = 0;  // not 0: refused until then
  // Of a provisioned one, units of work: what it bought a minute, and the free share of that.
  int64_t limit_units = 0;
  int64_t remaining_units = 0;
  Nanos full_in = 0;  // until everything has drained
  int32_t utilization_permille = 0;
};

// What the machine has to sell, in PTU.
struct PtuCapacity {
  double total = 0;  // 0: nobody knows
  double sold = 0;
  // "calibrated", "learned" or "unknown".
  const char* source = "unknown";
};

class Deployments {
 public:
  struct Change {
    std::optional<std::string> name;
    std::optional<int64_t> milli_ptu;
    std::optional<Spillover> spillover;
  };

  // Reads what is remembered and tells the engine. What is passed outlives this.
  Deployments(const std::string& data_dir, EngineLoop& engine, const Clock& clock);
  ~Deployments();

  // Throws Error naming the field: a name that is taken, more than the machine has left, a PTU for
  // a class that has none.
  DeploymentStatus create(Deployment wanted);
  DeploymentStatus update(const std::string& id, const Change& change);
  void remove(const std::string& id);
  // By id, or by name where only one tenant has it. Throws Error{kNotFound}.
  DeploymentStatus find(const std::string& id) const;
  // Of one tenant, or of all with an empty name.
  std::vector<DeploymentStatus> list(const std::string& tenant) const;
  PtuCapacity capacity() const;
  // The best that a request of this tenant may turn out to be, whatever its model.
  engine::ServiceClass best_class(const std::string& tenant) const;

  // Whether and how these prompts of a tenant are served. Counts a refusal.
  Placement place(const std::string& tenant, const std::string& model, TierWish wish,
                  std::span<const engine::Request> prompts);
  // Once a second: rates of the last minute.
  void tick();

 private:
  using Lines = std::map<engine::DeploymentId, std::shared_ptr<DeploymentLine>>;

  const std::shared_ptr<DeploymentLine>& line_of(const std::string& id) const;
  std::shared_ptr<DeploymentLine> choose(const std::string& tenant, const std::string& model,
                                         TierWish wish) const;
  void check(const Deployment& wanted) const;
  double sold_without(engine::DeploymentId number) const;
  PtuCapacity capacity_locked() const;
  void tell_engine(const Deployment& deployment);

  EngineLoop& engine_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  DeploymentStore store_;  // guarded by mutex_
  Lines lines_;            // likewise
};

}  // namespace hearth::serve
