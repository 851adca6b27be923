// Which devices are free, indexed so that a place is found in microseconds among 100,000 devices.
//
// Nodes of one cluster and kind form a pool; a pool keeps its nodes in buckets by their number of
// wholly free devices, and the devices that are partly used by what is left of them. Best fit: the
// fullest node that still fits, so that large holes stay large. A part of a device goes where it
// costs the least of what devices can still be filled with, by the sizes that are in use
// (device_prices.h); among equals where it leaves the least that nobody will ask for (after Weng et
// al. 2023).
// Owned by the scheduler.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "forge/core/device_prices.h"
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

  // Nodes that are present and closed.
  int32_t closed_nodes() const { return closed_nodes_; }

  int64_t free_milli() const { return free_milli_; }
  int64_t present_milli() const { return present_milli_; }
  int32_t free_devices(NodeId node) const { return nodes_[static_cast<size_t>(node)].whole; }
  int32_t free_milli_on(NodeId node, int32_t device) const {
    return device_free_[static_cast<size_t>(first_device(node) + device)];
  }
  // The number of device 0 of the node, when all devices of the fleet are counted through.
  int32_t first_device(NodeId node) const { return nodes_[static_cast<size_t>(node)].first_device; }
  int32_t devices() const { return static_cast<int32_t>(device_free_.size()); }
  const FleetSpec& spec() const { return *spec_; }

  // Could it hold the job with its fewest workers, were all its nodes up and empty?
  bool ever_fits(const JobSpec& job) const;

  // May `job` use devices of this node, free or not?
  bool eligible(const JobSpec& job, NodeId node) const;

  // --- pools ---
  int32_t pools() const { return static_cast<int32_t>(pools_.size()); }
  int32_t pool_of(NodeId node) const { return nodes_[static_cast<size_t>(node)].pool; }
  ClusterId cluster_of(int32_t pool) const { return pools_[static_cast<size_t>(pool)].cluster; }
  KindId kind_of(int32_t pool) const { return pools_[static_cast<size_t>(pool)].kind; }
  std::vector<int32_t> eligible_pools(const JobSpec& job) const;
  // Devices of open nodes of the pool of which so much is free.
  int32_t usable_in(int32_t pool, int32_t share_milli) const;
  int32_t usable_on(NodeId node, int32_t share_milli) const;
  // Open nodes of the pool with so many wholly free devices.
  const std::set<NodeId>& nodes_with(int32_t pool, int32_t free) const;
  // When something last came free in one of the pools; a search that failed after that fails again.
  uint64_t last_freed(std::span<const int32_t> pools) const;
  uint64_t freed_now() const { return freed_clock_; }

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
    uint64_t freed_at = 0;
  };

  bool pool_eligible(const JobSpec& job, const Pool& pool) const;
  std::optional<Placement> find_in_pool(const JobSpec& job, const Pool& pool,
                                        int32_t workers) const;
  std::optional<Placement> find_parts(const JobSpec& job, const Pool& pool, int32_t workers) const;
  std::optional<Placement> find_part(const JobSpec& job, std::span<const Pool* const> pools) const;
  std::optional<Placement> find_parts_on_a_node(const JobSpec& job, const Pool& pool,
                                                int32_t workers) const;
  std::optional<Placement> find_across(const JobSpec& job, std::span<const Pool* const> pools,
                                       int32_t workers) const;
  const DevicePrices& prices() const;
  void append_devices(NodeId node, int32_t count, Placement& out) const;
  // Adds `sign` times what the slots take; those on nodes that are away are skipped.
  void change(const Placement& slots, int32_t sign);
  void index(NodeId node);
  void unindex(NodeId node);
  void mark_freed(NodeId node) {
    pools_[static_cast<size_t>(pool_of(node))].freed_at = ++freed_clock_;
  }

  const FleetSpec* spec_;
  std::map<std::pair<ClusterId, KindId>, size_t> pool_of_;
  std::vector<NodeState> nodes_;
  std::vector<int32_t> device_free_;  // milli, by first_device + index
  std::vector<Pool> pools_;
  std::array<int64_t, kWholeDevice + 1> taken_{};  // slots, by size
  int64_t slots_taken_ = 0;
  int64_t parts_taken_ = 0;  // of these, parts of devices
  // Found again when they are looked at and the mix of sizes has changed by so much.
  mutable DevicePrices prices_;
  mutable int64_t changed_ = 0;  // slots, since then
  int64_t free_milli_ = 0;
  int64_t present_milli_ = 0;
  int32_t closed_nodes_ = 0;
  uint64_t freed_clock_ = 0;  // counts what came free
};

// Nodes that a placement touches.
int32_t nodes_of(const Placement& slots);

}  // namespace hearth::forge
