#include "forge/replicas/watchdog.h"

#include <utility>

namespace hearth::forge {

// How far it is past its time; negative: it has some left.
Millis Watchdog::overdue(Millis now, const Past& past) const {
  return now - past.good_at - (past.was_ready ? terms_.silent_ms : terms_.start_ms);
}

std::optional<Watched> Watchdog::hung(Millis now, const std::vector<Watched>& seen) {
  std::map<JobId, Past> known;
  for (const Watched& replica : seen) {
    const auto before = known_.find(replica.job);
    const bool same = before != known_.end() && before->second.epoch == replica.epoch;
    Past past = same ? before->second : Past{replica.epoch, now};
    if (replica.ready) past.good_at = now, past.was_ready = true;
    known[replica.job] = past;
    if (replica.ready && replica.job == restarted_) restarted_ = -1;
  }
  known_ = std::move(known);
  if (terms_.silent_ms == 0) return std::nullopt;
  if (restarted_ >= 0 && now < restarted_at_ + terms_.start_ms) return std::nullopt;
  std::optional<Watched> worst;
  Millis most = 0;
  for (const Watched& replica : seen) {
    const Millis late = overdue(now, known_[replica.job]);
    if (late < most) continue;
    worst = replica;
    most = late;
  }
  if (worst) restarted_ = worst->job, restarted_at_ = now;
  return worst;
}

}  // namespace hearth::forge
