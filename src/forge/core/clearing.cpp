#include "forge/core/clearing.h"

#include <algorithm>

namespace hearth::forge {

Clearing::Clearing(const Planner& planner)
    : planner_(planner),
      fleet_(planner.fleet()),
      node_slots_(planner.spec().nodes.size(), 0),
      pool_slots_(static_cast<size_t>(planner.fleet().pools()), 0),
      freed_(static_cast<size_t>(planner.fleet().devices()), 0) {}

void Clearing::offer(const Leaver& leaver) {
  sorted_ = false;
  leavers_.push_back(leaver);
  // A job that is offered twice is counted once: whole.
  if (leaver.stays > 0 || planner_.brief(leaver.id).extra() <= 0) count(leaver.id, 1);
}

void Clearing::withdraw(JobId id) {
  if (std::erase_if(leavers_, [&](const Leaver& leaver) { return leaver.id == id; }) > 0)
    count(id, -1);
}

void Clearing::count(JobId id, int32_t sign) {
  const auto add = [&](NodeId node, int32_t slots) {
    node_slots_[static_cast<size_t>(node)] += slots;
    pool_slots_[static_cast<size_t>(fleet_.pool_of(node))] += slots;
  };
  const Brief& brief = planner_.brief(id);
  if (brief.node >= 0) return add(brief.node, sign * brief.workers);
  for (const Slot& slot : planner_.job(id).target) add(slot.node, sign);
}

Clearing::Scopes Clearing::scopes_of(const JobSpec& spec, const Shape& shape) const {
  Scopes scopes{spec.locality == Locality::kNode, {}};
  scopes.of_pool.assign(pool_slots_.size(), -1);
  const bool one_pool = spec.locality == Locality::kCluster || spec.share_milli < kWholeDevice;
  const auto kinds = static_cast<int32_t>(planner_.spec().kinds.size());
  for (int32_t pool : shape.pools) {
    const auto cluster = static_cast<size_t>(fleet_.cluster_of(pool));
    const RegionId region = planner_.spec().clusters[cluster].region;
    const bool regional = spec.locality == Locality::kRegion;
    const int32_t wide = (regional ? region : 0) * kinds + fleet_.kind_of(pool);
    scopes.of_pool[static_cast<size_t>(pool)] = one_pool || scopes.nodes ? pool : wide;
  }
  return scopes;
}

std::vector<int32_t> Clearing::free_now(const JobSpec& spec, const Shape& shape,
                                        const Scopes& scopes) const {
  const size_t wide = planner_.spec().regions.size() * planner_.spec().kinds.size();
  std::vector<int32_t> usable(std::max(wide, pool_slots_.size()), 0);
  for (int32_t pool : shape.pools) {
    const auto scope = static_cast<size_t>(scopes.of_pool[static_cast<size_t>(pool)]);
    usable[scope] += fleet_.usable_in(pool, spec.share_milli);
  }
  return usable;
}

void Clearing::find_fullest_nodes() {
  fullest_.assign(pool_slots_.size(), 0);
  for (size_t n = 0; n < node_slots_.size(); ++n) {
    const auto node = static_cast<NodeId>(n);
    int32_t& most = fullest_[static_cast<size_t>(fleet_.pool_of(node))];
    most = std::max(most, fleet_.usable_on(node, kWholeDevice) + node_slots_[n]);
  }
}

// Were everything on offer gone, and each worker's leaving made one device free. Later it can only
// be less, so what is counted once stands.
bool Clearing::may_fit(const JobSpec& spec, const Shape& shape, const Scopes& scopes) {
  if (scopes.nodes && spec.share_milli < kWholeDevice) return true;
  if (scopes.nodes && fullest_.empty()) find_fullest_nodes();
  std::vector<int32_t> most = scopes.nodes ? fullest_ : free_now(spec, shape, scopes);
  for (int32_t pool : shape.pools) {
    const auto p = static_cast<size_t>(pool);
    int32_t& usable = most[static_cast<size_t>(scopes.of_pool[p])];
    if (!scopes.nodes) usable += pool_slots_[p];
    if (usable >= spec.min_workers) return true;
  }
  return false;
}

const Placement& Clearing::freed_by(const Leaver& leaver) {
  const Brief& brief = planner_.brief(leaver.id);
  const Placement& target = planner_.job(leaver.id).target;
  if (leaver.stays == 0 && brief.extra() <= 0) return target;
  Placement stays = shrunk(target, brief.min_workers);
  if (leaver.stays == 0) return scratch_ = std::move(stays);
  scratch_.clear();
  std::set_difference(target.begin(), target.end(), stays.begin(), stays.end(),
                      std::back_inserter(scratch_));
  return scratch_;
}

int32_t Clearing::tally(const Leaver& leaver, int32_t sign, const JobSpec& spec,
                        const Scopes& scopes) {
  int32_t enough = -1;
  for (const Slot& slot : freed_by(leaver)) {
    const int32_t of_pool = scopes.of_pool[static_cast<size_t>(fleet_.pool_of(slot.node))];
    if (of_pool < 0 || !fleet_.open(slot.node)) continue;
    const int32_t scope = scopes.nodes ? slot.node : of_pool;
    int32_t& usable = usable_[static_cast<size_t>(scope)];
    if (usable < 0) usable = fleet_.usable_on(slot.node, spec.share_milli);
    int32_t& freed = freed_[static_cast<size_t>(fleet_.first_device(slot.node) + slot.device)];
    const int32_t free = fleet_.free_milli_on(slot.node, slot.device);
    const bool before = free + freed >= spec.share_milli;
    freed += sign * slot.milli;
    const bool after = free + freed >= spec.share_milli;
    usable += static_cast<int32_t>(after) - static_cast<int32_t>(before);
    if (usable >= spec.min_workers) enough = scope;
  }
  return enough;
}

std::vector<Leaver> Clearing::room_for(const JobSpec& spec, const Shape& shape) {
  const Scopes scopes = scopes_of(spec, shape);
  if (!may_fit(spec, shape, scopes)) return {};
  if (!sorted_) std::sort(leavers_.begin(), leavers_.end());
  sorted_ = true;
  if (scopes.nodes) {
    usable_.assign(node_slots_.size(), -1);
  } else {
    usable_ = free_now(spec, shape, scopes);
  }
  int32_t place = -1;
  size_t asked = 0;
  while (asked < leavers_.size() && place < 0) place = tally(leavers_[asked++], 1, spec, scopes);
  // Whoever is not in the way stays, the dearest before the others.
  std::vector<Leaver> leave;
  for (size_t i = asked; i-- > 0;) {
    tally(leavers_[i], -1, spec, scopes);
    if (place < 0 || usable_[static_cast<size_t>(place)] >= spec.min_workers) continue;
    tally(leavers_[i], 1, spec, scopes);
    leave.push_back(leavers_[i]);
  }
  for (const Leaver& leaver : leave) tally(leaver, -1, spec, scopes);
  return leave;
}

}  // namespace hearth::forge
