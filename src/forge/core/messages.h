// What goes into the core and what comes out. Everything that crosses the network carries the
// node's incarnation and the job's epoch: whoever holds a newer one drops the message, so copies,
// late ones and ones out of order change nothing.
#pragma once

#include <variant>

#include "forge/core/health.h"
#include "forge/core/links.h"
#include "forge/core/types.h"

namespace hearth::forge {

// --- events: from users and from the clock ---
struct Submit {
  JobSpec spec;
};
struct Cancel {
  JobId job = 0;
};
struct Drain {
  NodeId node = 0;
};
struct Undrain {
  NodeId node = 0;
};
// New measured rates, and what is left to do in the same unit of work.
struct Measured {
  JobId job = 0;
  std::shared_ptr<const RateTable> rates;
  double work_left = 0;
};
struct Resize {
  JobId job = 0;
  int32_t min_workers = 1;
  int32_t max_workers = 1;
};
// To these clusters, and from now on nowhere else; empty: anywhere.
struct Move {
  JobId job = 0;
  std::vector<ClusterId> clusters;
};
// So many replicas of an inference deployment, itself included. New ones are jobs like it; those
// that are too many are stopped gently, who waits first, then the youngest.
struct Scale {
  JobId job = 0;
  int32_t replicas = 1;
};
// The workers of this epoch run and do nothing: they are killed and started again. It counts as a
// failure, so that what always hangs ends some time. Nothing, when that epoch is over.
struct Restart {
  JobId job = 0;
  Epoch epoch = 0;
};
// A node that nobody knew. It is away until it joins.
struct Enroll {
  Node node;
};
// The fleet's lists but the nodes. They may change and grow, never shrink or change places.
struct Configure {
  FleetSpec fleet;
};
struct Tick {};
// Nobody has heard this incarnation for a lease: see Scheduler::expired.
struct Lost {
  NodeId node = 0;
  Incarnation incarnation = 0;
};

// --- events: from agents ---
// The agent runs nothing, and everything it ran as an earlier incarnation is dead.
struct Joined {
  NodeId node = 0;
  Incarnation incarnation = 0;
};
struct Heartbeat {
  NodeId node = 0;
  Incarnation incarnation = 0;
  Millis sent_at = 0;  // by the agent's clock; comes back in Lease
};
struct Started {
  NodeId node = 0;
  Incarnation incarnation = 0;
  JobId job = 0;
  Epoch epoch = 0;
};
enum class Outcome {
  kSaved,      // stopped with a checkpoint
  kKilled,     // stopped without one, or never started: the last checkpoint counts
  kSucceeded,  // ended by itself with exit status 0
  kFailed,     // ended by itself otherwise
};
// The workers of this epoch on this node are dead and will never run again.
struct Ended {
  NodeId node = 0;
  Incarnation incarnation = 0;
  JobId job = 0;
  Epoch epoch = 0;
  Outcome outcome = Outcome::kKilled;
  ImageRef image;  // the last of this epoch
};
// An image of the running epoch is on disk. Said again and again: a later one replaces it.
struct Imaged {
  NodeId node = 0;
  Incarnation incarnation = 0;
  JobId job = 0;
  Epoch epoch = 0;
  ImageRef image;
};

// One round of checks on the node.
struct Checked {
  NodeId node = 0;
  Incarnation incarnation = 0;
  std::vector<CheckResult> results;
  std::vector<LinkResult> links = {};  // with a few others; none where nobody was asked
};

using Event =
    std::variant<Submit, Cancel, Drain, Undrain, Measured, Resize, Move, Enroll, Configure, Tick,
                 Lost, Joined, Heartbeat, Started, Ended, Checked, Scale, Imaged, Restart>;

// --- commands: to agents ---
struct Start {
  NodeId node = 0;
  Incarnation incarnation = 0;
  JobId job = 0;
  Epoch epoch = 0;
  Placement slots;         // on this node
  int32_t first_rank = 0;  // of the workers here; they count on from it
  int32_t world = 0;       // workers of the whole gang
  std::string meet_at;     // the address of the node of rank 0
  std::shared_ptr<const Program> program;
  ImageRef image;  // what it goes on from; none: its beginning
};
enum class StopMode { kCheckpoint, kKill };
struct Stop {
  NodeId node = 0;
  Incarnation incarnation = 0;
  JobId job = 0;
  Epoch epoch = 0;
  StopMode mode = StopMode::kCheckpoint;
};
// Answers Ended: the agent may stop repeating it.
struct Acknowledge {
  NodeId node = 0;
  Incarnation incarnation = 0;
  JobId job = 0;
  Epoch epoch = 0;
};
// Answers Heartbeat: the agent may go on until lease_ms after `sent_at`.
struct Lease {
  NodeId node = 0;
  Incarnation incarnation = 0;
  Millis sent_at = 0;
};
// This incarnation is given up: kill everything and join as a newer one.
struct Rejoin {
  NodeId node = 0;
  Incarnation incarnation = 0;
  Incarnation above = 0;  // the newer one has to be
};

using Command = std::variant<Start, Stop, Acknowledge, Lease, Rejoin>;

// The two sides' common understanding of time.
struct LeaseTerms {
  Millis lease_ms = 30'000;     // an agent unheard for so long has killed what it ran
  Millis fence_ms = 5'000;      // so long before the end of its lease an agent begins to kill
  Millis heartbeat_ms = 5'000;  // between heartbeats
  Millis resend_ms = 2'000;     // an unanswered command is sent again after
};

}  // namespace hearth::forge
