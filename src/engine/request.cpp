#include "engine/request.h"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

#include "base/random.h"

namespace hearth::engine {
namespace {

Admission refuse(AdmissionCode code, std::string reason) { return {code, std::move(reason)}; }

// A tokenizer may know more tokens than the model has embeddings for.
std::optional<TokenId> unknown_token(const Request& request, const EngineConfig& config) {
  if (config.vocabulary == 0) return std::nullopt;
  for (TokenId token : request.prompt) {
    if (token < 0 || token >= config.vocabulary) return token;
  }
  return std::nullopt;
}

Admission contradiction(const Request& request, const EngineConfig& config) {
  const auto invalid = [](std::string reason) {
    return refuse(AdmissionCode::kInvalid, std::move(reason));
  };
  if (request.prompt.empty()) return invalid("prompt: at least one token is needed, got none");
  if (const auto unknown = unknown_token(request, config)) {
    return invalid(fmt::format("prompt: token id {} is not one of the model's {}", *unknown,
                               config.vocabulary));
  }
  if (request.choices < 1 || request.choices > config.max_choices) {
    return invalid(
        fmt::format("n: 1 to max_choices = {}, got {}", config.max_choices, request.choices));
  }
  if (request.max_tokens < kAsManyAsFit) {
    return invalid(fmt::format("max_tokens: 0 or more, got {}", request.max_tokens));
  }
  if (request.min_tokens < 0 ||
      (request.max_tokens != kAsManyAsFit && request.min_tokens > request.max_tokens)) {
    return invalid(fmt::format("min_tokens: 0 to max_tokens = {}, got {}", request.max_tokens,
                               request.min_tokens));
  }
  if (!request.constraints.empty() &&
      request.constraints.size() != static_cast<size_t>(request.choices)) {
    return invalid(fmt::format("constraints: one for each of {} choices, got {}", request.choices,
                               request.constraints.size()));
  }
  if (request.pooling != Pooling::kNone && request.choices != 1) {
    return invalid(fmt::format("n: an embedding has one answer, got {}", request.choices));
  }
  return {};
}

Admission unfit(const Request& request, const EngineConfig& config) {
  const int64_t prompt = std::ssize(request.prompt);
  const int64_t output = only_computes(request)               ? 0
                         : request.max_tokens == kAsManyAsFit ? 1
                                                              : request.max_tokens;
  const int64_t total = prompt + output;
  // The last token of output is never computed: nothing comes after it.
  const int64_t stored = output == 0 ? prompt : total - 1;
  const int64_t cache = int64_t{config.num_blocks} * kBlockTokens;
  if (total > config.max_model_len) {
    return refuse(AdmissionCode::kTooLong,
                  fmt::format("prompt of {} tokens and {} of output are over max_model_len = {}",
                              prompt, total - prompt, config.max_model_len));
  }
  if (stored > cache) {
    return refuse(
        AdmissionCode::kTooLong,
        fmt::format("prompt of {} tokens and {} of output never fit the KV cache of {} tokens "
                    "(num_blocks = {}); shorten it or give the server more memory",
                    prompt, total - prompt, cache, config.num_blocks));
  }
  return {};
}

}  // namespace

const char* to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kAbort:
      return "abort";
    case FinishReason::kError:
      return "error";
  }
  return "unknown";
}

const char* to_string(AdmissionCode code) {
  switch (code) {
    case AdmissionCode::kAccepted:
      return "accepted";
    case AdmissionCode::kQueueFull:
      return "queue_full";
    case AdmissionCode::kTooLong:
      return "too_long";
    case AdmissionCode::kInvalid:
      return "invalid";
    case AdmissionCode::kNoAdapter:
      return "no_adapter";
  }
  return "unknown";
}

bool only_computes(const Request& request) {
  return request.pooling != Pooling::kNone || request.max_tokens == 0;
}

int32_t max_length(const Request& request, const EngineConfig& config) {
  const int64_t prompt = std::ssize(request.prompt);
  if (only_computes(request)) return static_cast<int32_t>(prompt);
  const int64_t fits =
      std::min<int64_t>(config.max_model_len, int64_t{config.num_blocks} * kBlockTokens + 1);
  if (request.max_tokens == kAsManyAsFit) return static_cast<int32_t>(fits);
  return static_cast<int32_t>(std::min(fits, prompt + request.max_tokens));
}

uint64_t choice_seed(uint64_t seed, int32_t choice) {
  return choice == 0 ? seed : split_mix(seed + static_cast<uint64_t>(choice));
}

Admission check_request(const Request& request, const EngineConfig& config) {
  Admission answer = contradiction(request, config);
  return answer.accepted() ? unfit(request, config) : answer;
}

}  // namespace hearth::engine
