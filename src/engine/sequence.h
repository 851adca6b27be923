// One choice of a request on its way through the engine, and what the choices share. Owned by the
// scheduler; touched by its thread only.
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include "engine/guess_policy.h"
#include "engine/prefix_index.h"
#include "engine/request.h"

namespace hearth::engine {

// The order in which sequences are served and, from the back, preempted. It never changes while a
// request lives: all who wait age at the same rate, so ageing is a constant added to the arrival.
// Finitely many can ever come before a given rank; this is why nobody starves.
// Classes of service are strict: whoever is of a lower one takes what the higher ones leave.
struct Rank {
  int64_t urgency = 0;  // arrival + priority * priority_aging; lower first
  uint64_t order = 0;   // of arrival
  int32_t choice = 0;
  ServiceClass service_class = ServiceClass::kStandard;

  bool operator<(const Rank& other) const {
    return std::tie(service_class, urgency, order, choice) <
           std::tie(other.service_class, other.urgency, other.order, other.choice);
  }
};

Rank make_rank(Nanos arrival, int32_t priority, uint64_t order, Nanos priority_aging);

struct RequestState;
struct Flow;

enum class SequenceState : uint8_t {
  kSibling,  // waits for another choice to compute the prompt
  kParked,   // its adapter is not in memory
  kWaiting,  // in the queue, holds no blocks
  kRunning,  // has a slot
  kFinished,
};

struct Sequence {
  RequestState* owner = nullptr;
  Rank rank;
  SequenceState state = SequenceState::kSibling;
  SamplingParams sampling;      // with this choice's seed
  std::vector<TokenId> tokens;  // prompt and output; empty while a sibling
  std::vector<BlockId> blocks;  // of positions [0, blocks.size() * kBlockTokens)
  std::vector<BlockKey> keys;   // of the full blocks of `tokens`, as far as anybody asked
  int32_t computed = 0;         // tokens whose keys and values are in `blocks`
  int32_t furthest = 0;         // the most that `computed` ever was
  int32_t published = 0;        // leading blocks that the prefix index was told of
  int32_t planned = 0;          // tokens of the step in flight
  std::vector<TokenId> guess;   // of what follows `tokens`, in the step in flight
  GuessRate guess_rate;
  bool guess_rate_begun = false;  // it started from what is true of all
  int32_t slot = -1;
  bool started = false;                       // has had a slot before
  bool fresh = false;                         // not yet part of a step since it got its slot
  bool generating = false;                    // has sampled since it got its slot
  bool awaits_block = false;                  // in this step: another one computes what it needs
  int32_t overtaken = 0;                      // how many passed it while it waited for memory
  FinishReason ending = FinishReason::kNone;  // asked for while a step was in flight
  Usage usage;
  Timing timing;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  int32_t left() const { return size() - computed; }
};

struct RequestState {
  Request request;       // its prompt has moved to sequences[0].tokens
  Flow* flow = nullptr;  // whom its work is counted for (fair_queue.h)
  int32_t prompt_tokens = 0;
  int32_t max_length = 0;
  bool has_adapter = false;         // is a user of its adapter (adapter_cache.h)
  bool scheduled = false;           // had its first step planned: no longer counts as queued
  int32_t leader = 0;               // the choice that computes the prompt
  int32_t unfinished = 0;           // choices
  int32_t siblings = 0;             // choices that wait for the leader
  int32_t prompt_told = 0;          // rows whose prompt logprobs have been told
  std::vector<Sequence> sequences;  // one for each choice; never resized
};

struct ByRank {
  bool operator()(const Sequence* a, const Sequence* b) const { return a->rank < b->rank; }
};

inline int32_t blocks_for(int32_t tokens) { return (tokens + kBlockTokens - 1) / kBlockTokens; }

// Tokens at the front of a sequence that need not be computed if their blocks are found: all but
// the last, whose logits are wanted, and but those whose rows are wanted for themselves.
int32_t skippable(const Sequence& sequence);

// Makes keys of the first `blocks` blocks of the sequence.
void extend_keys(Sequence& sequence, int32_t blocks, const PrefixHasher& hasher);

}  // namespace hearth::engine
