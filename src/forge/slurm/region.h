// One Slurm controller as Forge uses it: orders go in by name, what came of them comes out. One
// thread speaks to the controller: what waits to be submitted, and one look at all jobs and nodes a
// second, never one a job. An order whose answer was lost is looked for by its name first and only
// then said again.
//
// Any thread may ask; turn() belongs to the one that speaks.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "forge/core/types.h"
#include "forge/slurm/slurm.h"

namespace hearth::forge {

// What came of an order, as far as anybody knows.
enum class SlurmFate {
  kUnsaid,   // not submitted yet, or nobody knows whether it was: it may still start
  kRefused,  // the controller does not want it
  kWaiting,  // in Slurm's queue
  kAlive,
  kEnded,       // every process of it is dead, says its node
  kNodeFailed,  // its node does not speak
  kGone,        // the controller knows nothing of it, after having taken it
};
struct SlurmNews {
  SlurmFate fate = SlurmFate::kUnsaid;
  std::string text;
  Millis since = 0;
};

class SlurmRegion {
 public:
  // Jobs whose names do not begin with `prefix` are others'.
  SlurmRegion(Slurm& slurm, std::string prefix) : slurm_(slurm), prefix_(std::move(prefix)) {}

  // A new order: nobody has ever submitted it.
  void submit(SlurmOrder order);
  // An order of an earlier life, perhaps submitted, perhaps not.
  void submit_unless_known(SlurmOrder order, Millis now);
  // An order of an earlier life that has certainly been submitted.
  void watch(const std::string& name, Millis now);
  // It is not to start any more; what runs of it is killed. Its fate is still told.
  void cancel(const std::string& name);
  // Nobody will ask for it again. One that was cancelled is followed until Slurm has let it go.
  void forget(const std::string& name);

  SlurmNews news(const std::string& name) const;
  // As last seen, when that was; -1: never.
  std::vector<SlurmNode> nodes(Millis& seen_at) const;

  void turn(Millis now);

 private:
  static constexpr Millis kLookMs = 1'000;
  static constexpr Millis kCancelAgainMs = 5'000;
  static constexpr size_t kSubmitsATurn = 64;  // then it looks around again

  struct Entry {
    SlurmOrder order;
    SlurmNews news;
    bool unsaid = true;    // no answer has come that says that it was taken
    Millis doubt_at = -1;  // submitted at that time and perhaps taken; -1: surely not
    Millis taken_at = 0;
    bool cancelled = false;
    bool forgotten = false;
    Millis cancelled_at = -1;
    std::vector<int64_t> ids;  // more than one where an answer was lost
  };

  void say_orders(Millis now);
  void look(Millis now);
  void follow(Entry& entry, const std::vector<SlurmJob>& jobs, Millis looked_at);
  void say_cancels(Millis now);

  Slurm& slurm_;
  std::string prefix_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::vector<SlurmNode> nodes_;
  Millis nodes_at_ = -1;
  Millis next_look_ = 0;
  bool quiet_ = false;  // the controller's silence has been reported
};

}  // namespace hearth::forge
