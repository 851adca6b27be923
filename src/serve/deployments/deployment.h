// A contract: how a tenant's requests for a model are served.
#pragma once

#include <cstdint>
#include <string>

#include "engine/types.h"
#include "flywheel/ptu.h"

namespace hearth::serve {

// What becomes of a request over the purchased rate.
enum class Spillover : uint8_t {
  kRefuse,    // 429, and when to come again
  kStandard,  // served as everybody's, and not charged
};

struct Deployment {
  // Its number in the engine and in the database.
  engine::DeploymentId number = engine::kNoDeployment;
  std::string id;    // "dep_..."
  std::string name;  // what people call it; a tenant's names differ
  std::string tenant;
  std::string model;  // the base or an adapter; "*": all that the tenant may use
  engine::ServiceClass service_class = engine::ServiceClass::kStandard;
  int64_t milli_ptu = 0;  // of provisioned ones
  Spillover spillover = Spillover::kRefuse;
  int64_t created_s = 0;
  int64_t updated_s = 0;

  double ptu() const { return static_cast<double>(milli_ptu) / flywheel::kMilli; }
};

// "provisioned", "standard", "batch".
const char* to_string(engine::ServiceClass service_class);
const char* to_string(Spillover spillover);

// What is going on in one.
struct DeploymentStatus {
  Deployment deployment;
  int32_t utilization_permille = 0;  // of the bucket: refused from 1000 on
  // Over the last minute, or since it is there.
  double prompt_tokens_per_minute = 0;
  double generated_tokens_per_minute = 0;
  double used_ptu = 0;
  double time_per_token_ms = 0;
  int32_t running = 0;
  int32_t waiting = 0;
  // Since the server began.
  uint64_t requests = 0;
  uint64_t refused = 0;
  uint64_t spilled = 0;
  uint64_t prompt_tokens = 0;
  uint64_t cached_tokens = 0;
  uint64_t generated_tokens = 0;
  double token_seconds = 0;  // sum of the gaps between tokens
  uint64_t token_gaps = 0;
  double ptu_minutes = 0;  // of work done
};

}  // namespace hearth::serve
