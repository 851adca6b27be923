// Adapters come and go, and requests wait for theirs.
#include "base/check.h"
#include "engine/scheduler.h"

namespace hearth::engine {

void Scheduler::add_adapter(AdapterId adapter, int32_t pages) { adapters_.add(adapter, pages); }

void Scheduler::remove_adapter(AdapterId adapter) {
  adapters_.remove(adapter);
  parked_stale_ = true;
}

void Scheduler::adapter_loaded(AdapterId adapter) {
  adapters_.loaded(adapter);
  parked_stale_ = true;
}

std::span<const Output> Scheduler::adapter_failed(AdapterId adapter, const std::string& error) {
  outputs_.clear();
  // By rank, one at a time: when the choice that leads ends, the next one is parked.
  const auto next = [&]() -> Sequence* {
    for (Sequence* sequence : parked_) {
      if (sequence->owner->request.adapter == adapter) return sequence;
    }
    return nullptr;
  };
  for (Sequence* sequence = next(); sequence; sequence = next()) {
    Output& output = outputs_.emplace_back();
    output.request = sequence->owner->request.id;
    output.choice = sequence->rank.choice;
    output.finish = FinishReason::kError;
    output.error = error;
    output.request_done = sequence->owner->unfinished == 1;
    output.usage = sequence->usage;
    output.timing = sequence->timing;
    retire(*sequence, FinishReason::kError);
  }
  adapters_.failed(adapter);
  parked_stale_ = true;
  return outputs_;
}

// By rank, each parked sequence asks for its adapter. That starts loading as many as there is room
// for, long before their turn has come.
void Scheduler::unpark() {
  if (!parked_stale_) return;
  parked_stale_ = false;
  Sequence* starved = nullptr;
  for (auto at = parked_.begin(); at != parked_.end();) {
    Sequence& sequence = **at;
    if (starved && starved->overtaken >= config_.max_overtaken) return;
    const AdapterCache::Access access = adapters_.acquire(sequence.owner->request.adapter);
    if (access != AdapterCache::Access::kReady) {
      if (access == AdapterCache::Access::kNoRoom && !starved) starved = &sequence;
      ++at;
      continue;
    }
    if (starved) ++starved->overtaken;
    at = parked_.erase(at);
    sequence.owner->has_adapter = true;
    wait(sequence);
  }
}

}  // namespace hearth::engine
