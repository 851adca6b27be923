// Words that the brain and the hands share. Integers only: nothing here knows a tensor.
#pragma once

#include <cstdint>

namespace hearth::engine {

using TokenId = int32_t;
using BlockId = int32_t;
using RequestId = uint64_t;
using AdapterId = int32_t;     // 0 is the base model
using PageId = int32_t;        // of the memory that adapters lie in
using DeploymentId = int32_t;  // whose share of the machine a request uses; 0: nobody's

// Work in millionths of a unit; a unit is one prompt token of the model (see cost_model.h).
using Cost = int64_t;

// In this order, each before all that come after it: what was bought, what is served as well as it
// goes, what may wait for idle capacity.
enum class ServiceClass : uint8_t { kProvisioned, kStandard, kBatch };
constexpr ServiceClass kServiceClasses[] = {ServiceClass::kProvisioned, ServiceClass::kStandard,
                                            ServiceClass::kBatch};

constexpr int kBlockTokens = 16;  // tokens in one block of the KV cache
constexpr AdapterId kBaseModel = 0;
constexpr BlockId kNoBlock = -1;
constexpr DeploymentId kNoDeployment = 0;
constexpr Cost kCostPerUnit = 1'000'000;

}  // namespace hearth::engine
