#include "forge/core/fleet.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace hearth::forge {

namespace {

// Slots that have to come or go before prices are found anew: so many, and one in eight of all.
constexpr int64_t kChangedMin = 64;
constexpr int64_t kChangedPart = 8;

}  // namespace

int32_t nodes_of(const Placement& slots) {
  int32_t nodes = 0;
  for (size_t i = 0; i < slots.size(); ++i) nodes += i == 0 || slots[i].node != slots[i - 1].node;
  return nodes;
}

Fleet::Fleet(const FleetSpec& spec) : spec_(&spec) {
  for (size_t n = 0; n < spec.nodes.size(); ++n) add_node();
}

void Fleet::add_node() {
  const Node& node = spec_->nodes[nodes_.size()];
  const auto [pool, fresh] = pool_of_.try_emplace({node.cluster, node.kind}, pools_.size());
  if (fresh) pools_.push_back({.cluster = node.cluster, .kind = node.kind});
  Pool& p = pools_[pool->second];
  const auto devices = static_cast<size_t>(node.devices);
  if (p.buckets.size() < devices + 1) p.buckets.resize(devices + 1);
  p.devices += node.devices;
  p.largest = std::max(p.largest, node.devices);
  nodes_.push_back({.first_device = static_cast<int32_t>(device_free_.size()),
                    .pool = static_cast<int32_t>(pool->second)});
  device_free_.resize(device_free_.size() + devices, 0);
}

bool Fleet::pool_eligible(const JobSpec& job, const Pool& pool) const {
  const Cluster& cluster = spec_->clusters[static_cast<size_t>(pool.cluster)];
  const auto has = [](const auto& list, auto id) {
    return list.empty() || std::find(list.begin(), list.end(), id) != list.end();
  };
  if (!has(job.regions, cluster.region) || !has(job.clusters, pool.cluster)) return false;
  if (!has(job.kinds, pool.kind)) return false;
  if (cluster.spot == Spot::kAllowed && job.spot == Spot::kRefused) return false;
  return spec_->kinds[static_cast<size_t>(pool.kind)].memory_gb >= job.memory_gb_min;
}

bool Fleet::eligible(const JobSpec& job, NodeId node) const {
  return pool_eligible(job, pools_[static_cast<size_t>(nodes_[static_cast<size_t>(node)].pool)]);
}

std::vector<int32_t> Fleet::eligible_pools(const JobSpec& job) const {
  std::vector<int32_t> out;
  for (size_t p = 0; p < pools_.size(); ++p) {
    if (pool_eligible(job, pools_[p])) out.push_back(static_cast<int32_t>(p));
  }
  return out;
}

uint64_t Fleet::last_freed(std::span<const int32_t> pools) const {
  uint64_t last = 0;
  for (int32_t pool : pools) last = std::max(last, pools_[static_cast<size_t>(pool)].freed_at);
  return last;
}

const std::set<NodeId>& Fleet::nodes_with(int32_t pool, int32_t free) const {
  static const std::set<NodeId> kNone;
  const auto& buckets = pools_[static_cast<size_t>(pool)].buckets;
  return static_cast<size_t>(free) < buckets.size() ? buckets[static_cast<size_t>(free)] : kNone;
}

int32_t Fleet::usable_in(int32_t id, int32_t share_milli) const {
  const Pool& pool = pools_[static_cast<size_t>(id)];
  const auto parts = std::distance(pool.parts.lower_bound({share_milli, 0, 0}), pool.parts.end());
  return pool.whole + static_cast<int32_t>(parts);
}

int32_t Fleet::usable_on(NodeId id, int32_t share_milli) const {
  if (!present(id) || !open(id)) return 0;
  if (share_milli == kWholeDevice) return free_devices(id);
  const auto first = device_free_.begin() + first_device(id);
  return static_cast<int32_t>(std::count_if(first,
                                            first + spec_->nodes[static_cast<size_t>(id)].devices,
                                            [&](int32_t free) { return free >= share_milli; }));
}

bool Fleet::ever_fits(const JobSpec& job) const {
  std::map<std::pair<RegionId, KindId>, int32_t> by_region;
  std::map<KindId, int32_t> by_kind;
  int32_t most = 0;
  for (const Pool& pool : pools_) {
    if (!pool_eligible(job, pool)) continue;
    const RegionId region = spec_->clusters[static_cast<size_t>(pool.cluster)].region;
    // Parts of devices are only looked for within one cluster.
    const bool within = job.share_milli < kWholeDevice || job.locality == Locality::kCluster;
    if (job.locality == Locality::kNode) {
      most = std::max(most, pool.largest);
    } else if (within) {
      most = std::max(most, pool.devices);
    } else if (job.locality == Locality::kRegion) {
      most = std::max(most, by_region[{region, pool.kind}] += pool.devices);
    } else {
      most = std::max(most, by_kind[pool.kind] += pool.devices);
    }
  }
  return job.min_workers <= most;
}

std::optional<Placement> Fleet::find(const JobSpec& job, int32_t workers, KindId kind) const {
  std::vector<const Pool*> pools;
  for (const Pool& pool : pools_) {
    if ((kind < 0 || pool.kind == kind) && pool_eligible(job, pool)) pools.push_back(&pool);
  }
  const auto preference = [&](const Pool* pool) {
    const auto place = std::find(job.kinds.begin(), job.kinds.end(), pool->kind);
    const RegionId region = spec_->clusters[static_cast<size_t>(pool->cluster)].region;
    return std::tuple(place - job.kinds.begin(),
                      spec_->regions[static_cast<size_t>(region)].carbon_g_per_kwh, pool->whole);
  };
  std::stable_sort(pools.begin(), pools.end(),
                   [&](const Pool* a, const Pool* b) { return preference(a) < preference(b); });
  if (job.share_milli < kWholeDevice && workers == 1 && job.kinds.empty())
    return find_part(job, pools);
  std::optional<Placement> best;
  for (const Pool* pool : pools) {
    std::optional<Placement> found = find_in_pool(job, *pool, workers);
    // Fewer nodes talk faster; among equals the first pool in the order of preference.
    if (found && (!best || (job.kinds.empty() && nodes_of(*found) < nodes_of(*best))))
      best = std::move(found);
    if (best && (!job.kinds.empty() || nodes_of(*best) == 1)) return best;
  }
  if (best || job.locality == Locality::kNode || job.locality == Locality::kCluster) return best;
  return find_across(job, pools, workers);
}

std::optional<Placement> Fleet::find_in_pool(const JobSpec& job, const Pool& pool,
                                             int32_t workers) const {
  if (job.share_milli < kWholeDevice) return find_parts(job, pool, workers);
  if (pool.whole < workers) return std::nullopt;
  Placement out;
  std::set<NodeId> used;
  auto want = static_cast<size_t>(workers);
  size_t top = pool.buckets.size() - 1;
  auto whole_node = pool.buckets[top].begin();
  while (want > 0) {
    // The fullest node that takes all that is left ...
    size_t fit = want;
    NodeId chosen = -1;
    for (; fit < pool.buckets.size() && chosen < 0; ++fit) {
      for (NodeId node : pool.buckets[fit]) {
        if (!used.contains(node)) {
          chosen = node;
          break;
        }
      }
    }
    if (chosen >= 0) {
      append_devices(chosen, static_cast<int32_t>(want), out);
      break;
    }
    if (job.locality == Locality::kNode) return std::nullopt;
    // ... or else the emptiest node, all of it.
    while (top > 0 && whole_node == pool.buckets[top].end()) {
      whole_node = pool.buckets[--top].begin();
    }
    if (top == 0) return std::nullopt;
    append_devices(*whole_node, static_cast<int32_t>(top), out);
    used.insert(*whole_node++);
    want -= top;
  }
  std::sort(out.begin(), out.end());
  return out;
}

const DevicePrices& Fleet::prices() const {
  if (changed_ >= kChangedMin && changed_ * kChangedPart >= slots_taken_) {
    prices_ = parts_taken_ > 0 ? DevicePrices(taken_) : DevicePrices();
    changed_ = 0;
  }
  return prices_;
}

// One part of one device: where it costs least. Among equals, since what is left of a device is
// lost to all sizes that are larger, each choice changes what is expected to be lost; the smallest
// change, then the fullest device.
std::optional<Placement> Fleet::find_part(const JobSpec& job,
                                          std::span<const Pool* const> pools) const {
  std::array<int64_t, kWholeDevice + 2> larger{};
  for (size_t size = kWholeDevice; size > 0; --size) larger[size] = larger[size + 1] + taken_[size];
  const auto lost = [&](int32_t free) { return free * larger[static_cast<size_t>(free) + 1]; };
  const Pool* best = nullptr;
  const DevicePrices& worth = prices();
  // Cost; change of what is lost; free.
  std::tuple<int64_t, int64_t, int32_t> least{INT64_MAX, 0, 0};
  const auto consider = [&](const Pool* pool, int32_t free) {
    const std::tuple change{worth.loss(free, job.share_milli),
                            lost(free - job.share_milli) - lost(free), free};
    if (change < least) best = pool, least = change;
  };
  for (const Pool* pool : pools) {
    for (auto part = pool->parts.lower_bound({job.share_milli, 0, 0}); part != pool->parts.end();
         part = pool->parts.lower_bound({part->milli + 1, 0, 0})) {
      consider(pool, part->milli);
    }
    if (pool->whole > 0) consider(pool, kWholeDevice);
  }
  if (!best) return std::nullopt;
  const int32_t free = std::get<2>(least);
  const auto part = best->parts.lower_bound({free, 0, 0});
  if (free < kWholeDevice) return Placement{{part->node, part->device, job.share_milli}};
  Placement out;
  for (size_t bucket = 1; out.empty(); ++bucket) {
    if (!best->buckets[bucket].empty()) append_devices(*best->buckets[bucket].begin(), 1, out);
  }
  out[0].milli = job.share_milli;
  return out;
}

// The fullest devices first. Two workers of one job on one device would gain nothing, so each takes
// another device.
std::optional<Placement> Fleet::find_parts(const JobSpec& job, const Pool& pool,
                                           int32_t workers) const {
  if (job.locality == Locality::kNode) return find_parts_on_a_node(job, pool, workers);
  Placement out;
  const auto wanted = static_cast<size_t>(workers);
  for (auto part = pool.parts.lower_bound({job.share_milli, 0, 0});
       part != pool.parts.end() && out.size() < wanted; ++part) {
    out.push_back({part->node, part->device, job.share_milli});
  }
  for (size_t bucket = 1; bucket < pool.buckets.size() && out.size() < wanted; ++bucket) {
    for (NodeId node : pool.buckets[bucket]) {
      if (out.size() == wanted) break;
      const size_t before = out.size();
      append_devices(node,
                     std::min(static_cast<int32_t>(bucket), workers - static_cast<int32_t>(before)),
                     out);
      for (size_t i = before; i < out.size(); ++i) out[i].milli = job.share_milli;
    }
  }
  if (out.size() < wanted) return std::nullopt;
  std::sort(out.begin(), out.end());
  return out;
}

std::optional<Placement> Fleet::find_parts_on_a_node(const JobSpec& job, const Pool& pool,
                                                     int32_t workers) const {
  for (const std::set<NodeId>& bucket : pool.buckets) {
    for (NodeId node : bucket) {
      if (usable_on(node, job.share_milli) < workers) continue;
      std::vector<std::pair<int32_t, int32_t>> fullest;  // free, device
      for (int32_t d = 0; d < spec_->nodes[static_cast<size_t>(node)].devices; ++d) {
        const int32_t free = free_milli_on(node, d);
        if (free >= job.share_milli) fullest.emplace_back(free, d);
      }
      std::sort(fullest.begin(), fullest.end());
      Placement out;
      for (int32_t w = 0; w < workers; ++w)
        out.push_back({node, fullest[static_cast<size_t>(w)].second, job.share_milli});
      std::sort(out.begin(), out.end());
      return out;
    }
  }
  return std::nullopt;
}

// A job that may span clusters: all of one kind, and of one region where it asks for that.
std::optional<Placement> Fleet::find_across(const JobSpec& job, std::span<const Pool* const> pools,
                                            int32_t workers) const {
  for (const Pool* first : pools) {
    Placement out;
    int32_t left = workers;
    for (const Pool* pool : pools) {
      if (pool->kind != first->kind || left == 0) continue;
      const auto region = [&](const Pool* p) {
        return spec_->clusters[static_cast<size_t>(p->cluster)].region;
      };
      if (job.locality == Locality::kRegion && region(pool) != region(first)) continue;
      const int32_t part = std::min(left, pool->whole);
      if (part == 0 || job.share_milli < kWholeDevice) continue;
      const std::optional<Placement> found = find_in_pool(job, *pool, part);
      out.insert(out.end(), found->begin(), found->end());
      left -= part;
    }
    if (left > 0) continue;
    std::sort(out.begin(), out.end());
    return out;
  }
  return std::nullopt;
}

void Fleet::append_devices(NodeId node, int32_t count, Placement& out) const {
  const int32_t first = nodes_[static_cast<size_t>(node)].first_device;
  for (int32_t device = 0; count > 0; ++device) {
    if (device_free_[static_cast<size_t>(first + device)] != kWholeDevice) continue;
    out.push_back({node, device, kWholeDevice});
    --count;
  }
}

bool Fleet::fits(const Placement& slots) const {
  return std::all_of(slots.begin(), slots.end(), [&](const Slot& slot) {
    const NodeState& node = nodes_[static_cast<size_t>(slot.node)];
    return node.present &&
           device_free_[static_cast<size_t>(node.first_device + slot.device)] >= slot.milli;
  });
}

void Fleet::take(const Placement& slots) {
  for (const Slot& slot : slots) CHECK(present(slot.node), "node {} is away", slot.node);
  change(slots, -1);
}

void Fleet::release(const Placement& slots) { change(slots, 1); }

// Slots of one node lie together, so that its entries in the indexes change once.
void Fleet::change(const Placement& slots, int32_t sign) {
  for (size_t i = 0; i < slots.size();) {
    const NodeId node = slots[i].node;
    const bool here = present(node);
    if (here) unindex(node);
    for (; i < slots.size() && slots[i].node == node; ++i) {
      taken_[static_cast<size_t>(slots[i].milli)] -= sign;
      slots_taken_ -= sign;
      parts_taken_ -= slots[i].milli < kWholeDevice ? sign : 0;
      ++changed_;
      if (!here) continue;
      const int32_t by = sign * slots[i].milli;
      int32_t& free = device_free_[static_cast<size_t>(first_device(node) + slots[i].device)];
      CHECK(free + by >= 0 && free + by <= kWholeDevice, "device {} of node {}: {} free, {} asked",
            slots[i].device, node, free, by);
      free += by;
      free_milli_ += by;
    }
    if (!here) continue;
    index(node);
    if (sign > 0) mark_freed(node);
  }
}

void Fleet::unindex(NodeId id) {
  NodeState& node = nodes_[static_cast<size_t>(id)];
  if (!node.open || !node.present) return;
  Pool& pool = pools_[static_cast<size_t>(node.pool)];
  pool.buckets[static_cast<size_t>(node.whole)].erase(id);
  pool.whole -= node.whole;
  for (int32_t d = 0; d < spec_->nodes[static_cast<size_t>(id)].devices; ++d) {
    const int32_t free = device_free_[static_cast<size_t>(node.first_device + d)];
    if (free > 0 && free < kWholeDevice) pool.parts.erase({free, id, d});
  }
}

void Fleet::index(NodeId id) {
  NodeState& node = nodes_[static_cast<size_t>(id)];
  node.whole = 0;
  if (!node.present) return;
  Pool& pool = pools_[static_cast<size_t>(node.pool)];
  for (int32_t d = 0; d < spec_->nodes[static_cast<size_t>(id)].devices; ++d) {
    const int32_t free = device_free_[static_cast<size_t>(node.first_device + d)];
    node.whole += free == kWholeDevice;
    if (node.open && free > 0 && free < kWholeDevice) pool.parts.insert({free, id, d});
  }
  if (!node.open) return;
  pool.buckets[static_cast<size_t>(node.whole)].insert(id);
  pool.whole += node.whole;
}

void Fleet::set_present(NodeId id, bool present) {
  NodeState& node = nodes_[static_cast<size_t>(id)];
  if (node.present == present) return;
  const int32_t devices = spec_->nodes[static_cast<size_t>(id)].devices;
  if (!present) unindex(id);
  for (int32_t d = 0; d < devices; ++d) {
    int32_t& free = device_free_[static_cast<size_t>(node.first_device + d)];
    free_milli_ += present ? kWholeDevice : -free;
    free = present ? kWholeDevice : 0;
  }
  present_milli_ += (present ? 1 : -1) * static_cast<int64_t>(devices) * kWholeDevice;
  node.present = present;
  if (!node.open) closed_nodes_ += present ? 1 : -1;
  index(id);
  if (present) mark_freed(id);
}

void Fleet::set_open(NodeId id, bool open) {
  NodeState& node = nodes_[static_cast<size_t>(id)];
  if (node.open == open) return;
  unindex(id);
  node.open = open;
  if (node.present) closed_nodes_ += open ? -1 : 1;
  index(id);
  if (open) mark_freed(id);
}

}  // namespace hearth::forge
