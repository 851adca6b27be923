// One job as the scheduler sees it, and why it is where it is.
#pragma once

#include <algorithm>
#include <map>

#include "forge/core/messages.h"

namespace hearth::forge {

enum class JobState { kQueued, kStarting, kRunning, kStopping, kSucceeded, kFailed, kCancelled };
const char* to_string(JobState state);

// The last decision about a job. `other` is the job on whose behalf, where there is one.
enum class Reason {
  kSubmitted,    // nobody has looked at it yet
  kNoSuchPlace,  // even an empty fleet could not hold it
  kNoRoom,       // no eligible place is free, and nobody on it may be asked to leave
  kOverQuota,    // its virtual cluster may borrow no more
  kInOrder,      // the policy puts others first
  kBestFit,      // placed on free devices
  kReclaimed,    // placed on devices that `other` gave back
  kPreempted,    // gave its devices to `other`
  kShrunk,
  kGrown,
  kMigrated,
  kNodeLost,
  kDrained,
  kExited,
  kMoved,       // its owner asked for another place
  kResized,     // its owner asked for another size
  kOverBudget,  // its own budget, or that of its virtual cluster, is used up
  kHung,        // it ran and did nothing, by the word of whoever watches it
  kShared,      // what there is was shared out anew among elastic jobs
};
const char* to_string(Reason reason);

struct Why {
  Reason reason = Reason::kSubmitted;
  JobId other = -1;
  Millis at = 0;
};

enum class PartState { kStarting, kRunning, kStopping, kEnded };
// The workers of the current epoch on one node.
struct Part {
  PartState state = PartState::kStarting;
  Outcome outcome = Outcome::kKilled;
  Millis sent_at = 0;  // of the last command
};

struct Job {
  // Packed, forced to the disk, and read back: what one node was measured to do.
  static constexpr int64_t kImageBytesPerMs = 100'000;

  JobId id = 0;
  JobSpec spec;
  JobState state = JobState::kQueued;
  Epoch epoch = 0;
  Placement target;  // where the policy wants it; empty: nowhere
  Placement placed;  // where its current epoch was started
  std::map<NodeId, Part> parts;
  StopMode stop_mode = StopMode::kCheckpoint;
  bool cancelled = false;
  Why why;
  Why moved;  // the last time that others or its node made it give devices up
  Millis submitted_at = 0;
  Millis changed_at = 0;  // of the last start or stop
  Millis first_run_at = -1;
  Millis ran_ms = 0;     // with at least min_workers
  Millis device_ms = 0;  // times workers
  int32_t failures = 0;
  int32_t starts = 0;
  int32_t preemptions = 0;
  double work_left = 0;  // in the unit of the rates; 0: unknown
  ImageRef image;        // the newest that an agent spoke of, where processes are written down

  CheckpointBy checkpoint() const {
    return spec.program ? spec.program->checkpoint : CheckpointBy::kLibrary;
  }
  // What it takes to stop it and to start it elsewhere, without the work that is lost.
  Millis move_cost() const { return spec.stop_cost + image.bytes / kImageBytesPerMs; }
  bool over() const { return state >= JobState::kSucceeded; }
  bool active() const { return !over() && !cancelled; }
  // What it takes with the fewest workers.
  int64_t need_milli() const { return int64_t{spec.min_workers} * spec.share_milli; }
  int32_t workers() const { return static_cast<int32_t>(target.size()); }
  // Run time and device time up to now.
  Millis ran_until(Millis now) const {
    return ran_ms + (state == JobState::kRunning ? now - changed_at : 0);
  }
  // When it has to run from, to end by its deadline; kNoDeadline: whenever.
  static constexpr Millis kNoDeadline = INT64_MAX / 2;
  Millis latest_start() const {
    if (spec.deadline == 0 || spec.expected == 0) return kNoDeadline;
    return submitted_at + spec.deadline - std::max<Millis>(0, spec.expected - ran_ms);
  }
  // So near to that moment, before or after, it is in a hurry.
  Millis hurry() const { return spec.expected / 4 + 2 * spec.stop_cost; }
  // By how much it is early, as things stand.
  Millis slack(Millis now) const {
    return latest_start() - (state == JobState::kRunning ? changed_at : now);
  }
  Millis device_until(Millis now) const {
    return device_ms + (state == JobState::kRunning
                            ? (now - changed_at) * static_cast<Millis>(placed.size())
                            : 0);
  }
};

}  // namespace hearth::forge
