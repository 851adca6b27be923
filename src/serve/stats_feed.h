// GET /v1/hearth/stats: one line a second of what the engine is doing, for charts; and the newest
// line for who asks once.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "io/json_fwd.h"
#include "serve/engine_loop.h"
#include "serve/metrics.h"
#include "serve/reply.h"

namespace hearth::serve {

// Rates are over the time since the last tick, quantiles over the last ten ticks. Thread-safe.
class StatsFeed {
 public:
  StatsFeed(const EngineLoop& engine, const Metrics& metrics, const Clock& clock);

  // Opens the stream and sends the first line.
  void subscribe(std::shared_ptr<Reply> reply);
  void unsubscribe(const Reply* reply);
  // What a subscriber would be sent now.
  io::Json latest() const;
  // Once a second.
  void tick();
  // Ends every stream.
  void close();

 private:
  struct Snapshot {
    Nanos at = 0;
    uint64_t prompt_tokens = 0;
    uint64_t generation_tokens = 0;
    uint64_t steps = 0;
    uint64_t step_tokens = 0;
    std::vector<uint64_t> ttft;
    std::vector<uint64_t> itl;
  };

  Snapshot take() const;
  io::Json line() const;  // with mutex_ held

  const EngineLoop& engine_;
  const Metrics& metrics_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::deque<Snapshot> history_;                     // guarded by mutex_
  std::vector<std::shared_ptr<Reply>> subscribers_;  // likewise
};

}  // namespace hearth::serve
