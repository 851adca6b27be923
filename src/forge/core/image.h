// What a store keeps of a scheduler, and what it has to write after each turn. Everything else that
// a scheduler knows follows from an image, whatever version of whatever policy made it.
#pragma once

#include "forge/core/job.h"

namespace hearth::forge {

struct NodeImage {
  Incarnation incarnation = 0;  // 0: never joined
  bool up = false;
  bool open = true;  // false: a person drains it
  NodeHealth health{};
};

struct Image {
  FleetSpec fleet;
  std::vector<NodeImage> nodes;  // as in the fleet
  std::vector<Job> jobs;
  Millis now = 0;
};

// One thing that happened, for people who ask later.
enum class NoteKind {
  kSubmitted,
  kStarted,  // the workers on `node` were ordered
  kRunning,
  kStopping,
  kEnded,  // the workers on `node` are dead
  kQueued,
  kOver,
  kNodeUp,
  kNodeLost,
  kDrained,
  kUndrained,
  kHealth,  // of `node`, now `health`
};
const char* to_string(NoteKind kind);

struct Note {
  Millis at = 0;
  NoteKind kind = NoteKind::kSubmitted;
  JobId job = -1;
  Epoch epoch = 0;
  NodeId node = -1;
  Reason reason = Reason::kSubmitted;  // of the job at that time
  JobId other = -1;
  Outcome outcome = Outcome::kKilled;  // kEnded
  Health health = Health::kHealthy;
  JobState state = JobState::kQueued;  // kOver
};

// What one call of Scheduler::apply changed.
struct Changes {
  std::vector<JobId> jobs;    // each once, ascending
  std::vector<NodeId> nodes;  // each once, ascending
  bool fleet = false;
  std::vector<Note> notes;

  bool empty() const { return jobs.empty() && nodes.empty() && !fleet && notes.empty(); }
};

}  // namespace hearth::forge
