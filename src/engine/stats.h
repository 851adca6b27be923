// Numbers of one engine for metrics and tests. Gauges are of now; counters only grow.
#pragma once

#include <array>
#include <cstdint>

#include "engine/adapter_cache.h"
#include "engine/request.h"

namespace hearth::engine {

struct Stats {
  // Gauges.
  int32_t running = 0;  // sequences in slots
  int32_t waiting = 0;  // sequences that wait for a slot or memory, preempted ones included
  int32_t waiting_adapters = 0;  // of those, the ones whose adapter is not in memory
  int32_t waiting_siblings = 0;  // choices that wait for their prompt to be computed by another
  int32_t queued_requests = 0;   // requests without a first step
  int64_t queued_tokens = 0;     // prompt tokens of those
  std::array<int32_t, 3> queued_by_class{};         // the requests, by ServiceClass
  std::array<int64_t, 3> queued_tokens_by_class{};  // their prompt tokens
  int32_t blocks_total = 0;
  int32_t blocks_used = 0;    // held by running sequences
  int32_t blocks_cached = 0;  // free, with contents that can be found again

  // Counters.
  uint64_t steps = 0;
  uint64_t steps_abandoned = 0;         // of idle work, for somebody who came; not among steps
  uint64_t step_tokens = 0;             // computed, everything
  uint64_t prompt_tokens_computed = 0;  // of prompts, the first time
  uint64_t prompt_tokens_cached = 0;    // of prompts, found computed at the first step
  uint64_t tokens_recomputed = 0;       // computed again after a preemption
  uint64_t generation_tokens = 0;
  uint64_t guesses = 0;               // speculation: how often a sequence was guessed at
  uint64_t tokens_guessed = 0;        // rows that checked a guess
  uint64_t tokens_guessed_right = 0;  // of those, the ones that are in an answer
  uint64_t preemptions = 0;
  uint64_t evictions = 0;  // cached blocks given to somebody else
  uint64_t block_copies = 0;
  AdapterStats adapters;                 // gauges and counters
  std::array<uint64_t, 5> finished{};    // choices by FinishReason
  std::array<uint64_t, 5> admissions{};  // requests by AdmissionCode

  // Requests without a first step that stand before one of this class, or beside it.
  int32_t queued_up_to(ServiceClass service_class) const;
};

}  // namespace hearth::engine
