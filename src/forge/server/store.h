// Where a server keeps its scheduler: what is in here survives. Owned by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "forge/core/scheduler.h"

namespace hearth::forge {

// Devices in use at one moment, for the picture over time.
struct Sample {
  Millis at = 0;
  int32_t devices = 0;  // present
  int32_t busy_milli = 0;
  int32_t running = 0;  // jobs
  int32_t waiting = 0;
  std::vector<int32_t> vc_milli;  // in use by virtual cluster, its subtree included
};

// The workers of one epoch of a job on one node.
struct Span {
  JobId job = 0;
  Epoch epoch = 0;
  NodeId node = 0;
  std::string devices;  // "0,1,2"
  Millis from = 0;
  Millis until = -1;  // -1: still
  Outcome outcome = Outcome::kKilled;
};

struct NumberedNote {
  int64_t number = 0;
  Note note;
};

class Store {
 public:
  virtual ~Store() = default;
  virtual Image load() = 0;
  // All of it or nothing; on disk when it returns.
  virtual void commit(const Scheduler& scheduler, const Changes& changes) = 0;
  // Before anything is said for which nothing had to be written, say a lease: throws when another
  // server may decide by now. A store that only one server can have knows that none does.
  virtual void confirm() {}
  // A job that takes more is refused.
  virtual size_t job_bytes_max() const { return SIZE_MAX; }
};

// What people ask about the past. The newest come last.
class History {
 public:
  virtual ~History() = default;
  virtual std::vector<NumberedNote> notes(int64_t after, JobId job, int limit) = 0;  // job -1: all
  virtual std::vector<Span> spans(Millis from, Millis until, int limit) = 0;
  virtual std::vector<Sample> samples(Millis from, Millis until) = 0;
  virtual void add_sample(const Sample& sample) = 0;
};

}  // namespace hearth::forge
