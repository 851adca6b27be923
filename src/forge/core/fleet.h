// Which devices are free, indexed so that a place is found in microseconds among 100,000 devices.
//
// Nodes of one cluster and kind form a pool; a pool keeps its nodes in buckets by their number of
// wholly free devices, and the devices that are partly used by what is left of them. Best fit: the
// fullest node that still fits, so that large holes stay large. Owned by the scheduler.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "forge/core/types.h"

namespace hearth::forge {

class Fleet {
 public:
  explicit Fleet(const FleetSpec& spec);

  // A place for `workers` workers of `job`, or nothing. `kind` narrows the choice; -1: any that the
  // job takes. Takes nothing.
  std::optional<Placement> find(const JobSpec& job, int32_t workers, KindId kind = -1) const;

  bool fits(const Placement& slots) const;  // every slot is free
  void take(const Placement& slots);
  void release(const Placement& slots);  // slots on nodes that are gone are skipped

  // The spec's lists have grown by a node; it is away at first.
  void add_node();
  // A node that is away has no devices; what was taken there is forgotten.
  void set_present(NodeId node, bool present);
  // A closed node keeps what runs on it and takes nothing new.
  void set_open(NodeId node, bool open);
  bool present(NodeId node) const { return nodes_[static_cast<size_t>(node)].present; }

  bool open(NodeId node) const { return nodes_[static_cast<size_t>(node)].open; }

  int64_t free_milli() const { return free_milli_; }
  int64_t present_milli() const { return present_milli_; }
  int32_t free_devices(NodeId node) const { return nodes_[static_cast<size_t>(node)].whole; }
  const FleetSpec& spec() const { return *spec_; }

  // Could it hold the job with its fewest workers, were all its nodes up and empty?
  bool ever_fits(const JobSpec& job) const;

  // May `job` use devices of this node, free or not?
  bool eligible(const JobSpec& job, NodeId node) const;

 private:
  struct NodeState {
    int32_t first_device = 0;
    int32_t pool = 0;
    int32_t whole = 0;  // wholly free devices
    bool present = false;
    bool open = true;
  };
  struct Part {
    int32_t milli;
    NodeId node;
    int32_t device;
    auto operator<=>(const Part&) const = default;
  };
  struct Pool {
    ClusterId cluster = 0;
    KindId kind = 0;
    std::vector<std::set<NodeId>> buckets;  // by wholly free devices
    std::set<Part> parts;                   // devices partly used
    int32_t whole = 0;
    int32_t devices = 0;  // of all nodes, those away included
    int32_t largest = 0;  // node
  };

  bool pool_eligible(const JobSpec& job, const Pool& pool) const;
  std::optional<Placement> find_in_pool(const JobSpec& job, const Pool& pool,
                                        int32_t workers) const;
  std::optional<Placement> find_parts(const JobSpec& job, const Pool& pool, int32_t workers) const;
  std::optional<Placement> find_parts_on(const JobSpec& job, const Pool& pool, int32_t workers,
                                         NodeId only) const;
  std::optional<Placement> find_across(const JobSpec& job, std::span<const Pool* const> pools,
                                       int32_t workers) const;
  void append_devices(NodeId node, int32_t count, Placement& out) const;
  void change(const Slot& slot, int32_t by);
  void index(NodeId node);
  void unindex(NodeId node);

  const FleetSpec* spec_;
  std::map<std::pair<ClusterId, KindId>, size_t> pool_of_;
  std::vector<NodeState> nodes_;
  std::vector<int32_t> device_free_;  // milli, by first_device + index
  std::vector<Pool> pools_;
  int64_t free_milli_ = 0;
  int64_t present_milli_ = 0;
};

// Nodes that a placement touches.
int32_t nodes_of(const Placement& slots);

}  // namespace hearth::forge
