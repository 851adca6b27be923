// Which replicas run and do nothing, as a pure function of what was seen over time: ready once and
// silent since, or never ready at all. No clock, no threads.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

struct WatchdogTerms {
  Millis silent_ms = 60'000;  // after it was ready; 0: nothing is ever restarted
  Millis start_ms = 900'000;  // from the start of its process to its first being ready
};

// A replica that Forge says is running.
struct Watched {
  JobId job = -1;
  Epoch epoch = 0;
  bool ready = false;
};

class Watchdog {
 public:
  explicit Watchdog(WatchdogTerms terms) : terms_(terms) {}

  // The one to be restarted now: the longest silent. Never one more while another has not come
  // back: where all are silent, it may be the way to them. Time never goes back.
  std::optional<Watched> hung(Millis now, const std::vector<Watched>& seen);

 private:
  struct Past {
    Epoch epoch = 0;
    Millis good_at = 0;  // last ready, or first seen
    bool was_ready = false;
  };

  Millis overdue(Millis now, const Past& past) const;

  WatchdogTerms terms_;
  std::map<JobId, Past> known_;
  JobId restarted_ = -1;  // and not ready since
  Millis restarted_at_ = 0;
};

}  // namespace hearth::forge
