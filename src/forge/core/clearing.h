// Which jobs have to leave so that another one fits: the cheapest that make one place for it
// together, found by counting what each would free, without touching the fleet.
#pragma once

#include <vector>

#include "forge/core/planner.h"

namespace hearth::forge {

// A job that may be asked to go, or to give up some workers. The lower, the sooner.
struct Leaver {
  int32_t turn = 0;
  Millis price = 0;
  JobId id = 0;
  int32_t stays = 0;  // workers; 0: the whole job leaves
  auto operator<=>(const Leaver&) const = default;
};

class Clearing {
 public:
  explicit Clearing(const Planner& planner);

  // A job is offered whole, or for its extra workers, or both, each once; the extra ones then have
  // an earlier turn.
  void offer(const Leaver& leaver);
  // A set of leavers of which none could stay; empty: all of them together would not be enough.
  std::vector<Leaver> room_for(const JobSpec& spec, const Shape& shape);
  // Before the job leaves: it is no longer on offer.
  void withdraw(JobId id);

 private:
  void count(JobId id, int32_t sign);
  // Where all workers of a job have to be, numbered: a node, a pool, or pools of one kind.
  struct Scopes {
    bool nodes = false;
    std::vector<int32_t> of_pool;  // -1: not eligible
  };
  Scopes scopes_of(const JobSpec& spec, const Shape& shape) const;
  bool may_fit(const JobSpec& spec, const Shape& shape, const Scopes& scopes);
  void find_fullest_nodes();
  std::vector<int32_t> free_now(const JobSpec& spec, const Shape& shape,
                                const Scopes& scopes) const;
  const Placement& freed_by(const Leaver& leaver);
  // Adds or takes back what a leaver frees; the scope that thereby has enough for `spec`, or -1.
  int32_t tally(const Leaver& leaver, int32_t sign, const JobSpec& spec, const Scopes& scopes);

  const Planner& planner_;
  const Fleet& fleet_;
  std::vector<Leaver> leavers_;
  bool sorted_ = true;
  std::vector<int32_t> node_slots_;  // on offer: no more devices than that can come free
  std::vector<int32_t> pool_slots_;
  std::vector<int32_t> fullest_;  // by pool: the most devices that one node could have free
  std::vector<int32_t> freed_;    // milli, by device; of the leavers that are tallied
  std::vector<int32_t> usable_;   // devices, by scope; -1: not counted yet
  Placement scratch_;
};

}  // namespace hearth::forge
