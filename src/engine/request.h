// What a caller asks of the engine, and what it hears back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/config.h"
#include "engine/sampling.h"
#include "engine/step_plan.h"
#include "engine/types.h"

namespace hearth::engine {

constexpr int32_t kAsManyAsFit = -1;
constexpr TokenId kNoToken = -1;

struct Request {
  // Chosen by the caller, never used twice at the same time.
  RequestId id = 0;
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  // Most tokens of output, or kAsManyAsFit. 0 only computes the prompt (to score it).
  int32_t max_tokens = kAsManyAsFit;
  // The stop tokens are not chosen before this many.
  int32_t min_tokens = 0;
  // End the sequence; the end-of-sequence tokens are among them unless they are to be ignored.
  std::vector<TokenId> stop_tokens;
  // Answers to the one prompt (n). The prompt is computed once.
  int32_t choices = 1;
  // Lower is served first.
  int32_t priority = 0;
  // Only requests of the same salt and adapter share cached blocks. Set by the server for each
  // tenant, never by the client.
  uint64_t cache_salt = 0;
  AdapterId adapter = kBaseModel;
  // A class is served before those after it; within a class, deployments share by weight.
  ServiceClass service_class = ServiceClass::kStandard;
  DeploymentId deployment = kNoDeployment;
  // Empty, or one for each choice (null: unrestricted).
  std::vector<std::shared_ptr<TokenConstraint>> constraints;
  // Not kNone: an embedding. Nothing is sampled; the answer is one vector.
  Pooling pooling = Pooling::kNone;
};

enum class AdmissionCode : uint8_t {
  kAccepted,
  kQueueFull,  // too much waits: try again later (503)
  kTooLong,    // will never fit (400)
  kInvalid,    // contradicts itself (400)
  kNoAdapter,  // names an adapter that is not here, or no longer (404)
};

const char* to_string(AdmissionCode code);

struct Admission {
  AdmissionCode code = AdmissionCode::kAccepted;
  // When refused: what the limit is called, what it is, what came.
  std::string reason;
  bool accepted() const { return code == AdmissionCode::kAccepted; }
};

// True when nothing is sampled: an embedding, or a prompt to score.
bool only_computes(const Request& request);

// Prompt and output together never get longer than this.
int32_t max_length(const Request& request, const EngineConfig& config);

// Each choice has a stream of randomness of its own; the first has the one that was asked for.
uint64_t choice_seed(uint64_t seed, int32_t choice);

// Refuses what contradicts itself and what can never fit, however empty the engine is. Says nothing
// about queues. Cheap, and safe to call from any thread.
Admission check_request(const Request& request, const EngineConfig& config);

enum class FinishReason : uint8_t {
  kNone,    // goes on
  kStop,    // a stop token, a stop string, a finished constraint, or the vector of an embedding
  kLength,  // max_tokens, max_model_len, or the size of the KV cache
  kAbort,   // cancelled
  kError,   // the runner could not go on, or a constraint was broken
};

const char* to_string(FinishReason reason);

// When things happened to one choice, on the caller's clock; 0: not yet.
struct Timing {
  Nanos queued = 0;
  Nanos scheduled = 0;  // first step planned
  Nanos first_token = 0;
  Nanos last_token = 0;
  int32_t preemptions = 0;
};

struct Usage {
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;  // of the prompt, found computed
  int32_t output_tokens = 0;
};

// News of one choice after a step. Spans point into the StepResult that was committed.
struct Output {
  RequestId request = 0;
  int32_t choice = 0;
  std::span<const SampledToken> tokens;
  // With prompt_logprobs: entries of prompt tokens prompt_begin, prompt_begin + 1, ... Each is told
  // once, in order, on choice 0 only.
  std::span<const SampledToken> prompt;
  int32_t prompt_begin = 0;
  std::span<const float> pooled;
  FinishReason finish = FinishReason::kNone;
  // The stop token that ended it, the last of `tokens`; else kNoToken.
  TokenId stop_token = kNoToken;
  // With kError: why.
  std::string error;
  // True when no other choice of the request goes on: the engine has forgotten the request.
  bool request_done = false;
  Usage usage;
  Timing timing;
};

}  // namespace hearth::engine
