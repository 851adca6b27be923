#include "engine/sequence.h"

#include <algorithm>
#include <limits>
#include <span>

namespace hearth::engine {

Rank make_rank(Nanos arrival, int32_t priority, uint64_t order, Nanos priority_aging) {
  if (priority_aging == 0) return {.urgency = priority, .order = order};
  int64_t shift = 0;
  int64_t urgency = 0;
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  const int64_t end = priority < 0 ? -kLast : kLast;
  if (__builtin_mul_overflow(int64_t{priority}, priority_aging, &shift)) shift = end;
  if (__builtin_add_overflow(arrival, shift, &urgency)) urgency = end;
  return {.urgency = urgency, .order = order};
}

int32_t skippable(const Sequence& sequence) {
  const RequestState& owner = *sequence.owner;
  const Pooling pooling = owner.request.pooling;
  if (pooling == Pooling::kMean || pooling == Pooling::kFirst) return 0;
  const int32_t all_but_last = sequence.size() - 1;
  const bool scores = sequence.sampling.prompt_logprobs >= 0 && sequence.rank.choice == 0;
  return scores && owner.prompt_told < owner.prompt_tokens - 1
             ? std::min(owner.prompt_told, all_but_last)
             : all_but_last;
}

void extend_keys(Sequence& sequence, int32_t blocks, const PrefixHasher& hasher) {
  while (std::ssize(sequence.keys) < blocks) {
    const Request& request = sequence.owner->request;
    const BlockKey parent = sequence.keys.empty() ? hasher.root(request.cache_salt, request.adapter)
                                                  : sequence.keys.back();
    const std::span tokens(sequence.tokens);
    sequence.keys.push_back(
        hasher.extend(parent, tokens.subspan(sequence.keys.size() * kBlockTokens, kBlockTokens)));
  }
}

}  // namespace hearth::engine
