#include "sim/forge_packing.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/random.h"
#include "forge/core/fleet.h"

namespace hearth::sim {

using namespace forge;

namespace {

class Packing {
 public:
  Packing(const FleetSpec& spec, const std::vector<ReplayJob>& jobs, Placer placer)
      : spec_(spec), placer_(placer), fleet_(spec) {
    for (size_t n = 0; n < spec.nodes.size(); ++n) fleet_.set_present(static_cast<NodeId>(n), true);
    for (const ReplayJob& job : jobs)
      mix_[{job.spec.share_milli, job.spec.min_workers}] += 1.0 / static_cast<double>(jobs.size());
  }

  void add(const JobSpec& job) {
    asked_ += int64_t{job.min_workers} * job.share_milli;
    const std::optional<Placement> place =
        placer_ == Placer::kHearth ? fleet_.find(job, job.min_workers) : best_fit(job);
    if (place) fleet_.take(*place);
  }

  double asked() const {
    return static_cast<double>(asked_) / static_cast<double>(fleet_.present_milli());
  }

  PackingPoint point() const {
    const auto all = static_cast<double>(fleet_.present_milli());
    return {asked(), 1 - static_cast<double>(fleet_.free_milli()) / all, stranded() / all};
  }

 private:
  // Free on this node, all of it.
  int32_t left_on(NodeId node) const {
    int32_t left = 0;
    for (int32_t d = 0; d < spec_.nodes[static_cast<size_t>(node)].devices; ++d)
      left += fleet_.free_milli_on(node, d);
    return left;
  }

  std::optional<Placement> best_fit(const JobSpec& job) const {
    NodeId best = -1;
    int32_t least = INT32_MAX;
    for (size_t n = 0; n < spec_.nodes.size(); ++n) {
      const auto node = static_cast<NodeId>(n);
      if (!fleet_.eligible(job, node)) continue;
      if (fleet_.usable_on(node, job.share_milli) < job.min_workers) continue;
      const int32_t left = left_on(node);
      if (left < least) best = node, least = left;
    }
    if (best < 0) return std::nullopt;
    std::vector<std::pair<int32_t, int32_t>> fullest;  // free, device
    for (int32_t d = 0; d < spec_.nodes[static_cast<size_t>(best)].devices; ++d) {
      const int32_t free = fleet_.free_milli_on(best, d);
      if (free >= job.share_milli) fullest.emplace_back(free, d);
    }
    std::sort(fullest.begin(), fullest.end());
    Placement out;
    for (int32_t w = 0; w < job.min_workers; ++w)
      out.push_back({best, fullest[static_cast<size_t>(w)].second, job.share_milli});
    std::sort(out.begin(), out.end());
    return out;
  }

  double stranded() const {
    double total = 0;
    for (size_t n = 0; n < spec_.nodes.size(); ++n) {
      const auto node = static_cast<NodeId>(n);
      const int32_t left = left_on(node);
      if (left == 0) continue;
      for (const auto& [kind, part] : mix_) total += part * useless(node, left, kind);
    }
    return total;
  }

  // What of the node's free devices a job of so many workers with such shares cannot take.
  double useless(NodeId node, int32_t left, const std::pair<int32_t, int32_t>& kind) const {
    const auto [share, workers] = kind;
    if (fleet_.usable_on(node, share) < workers) return left;
    int32_t small = 0;
    for (int32_t d = 0; d < spec_.nodes[static_cast<size_t>(node)].devices; ++d) {
      const int32_t free = fleet_.free_milli_on(node, d);
      if (free < share) small += free;
    }
    return small;
  }

  const FleetSpec& spec_;
  Placer placer_;
  Fleet fleet_;
  std::map<std::pair<int32_t, int32_t>, double> mix_;  // share and workers -> part of the jobs
  int64_t asked_ = 0;
};

}  // namespace

std::vector<PackingPoint> pack_forge(const FleetSpec& fleet, const std::vector<ReplayJob>& jobs,
                                     Placer placer, std::span<const double> marks, uint64_t seed) {
  CHECK(!jobs.empty(), "no jobs to place");
  Random random(seed);
  Packing packing(fleet, jobs, placer);
  std::vector<PackingPoint> out;
  for (double mark : marks) {
    while (packing.asked() < mark) packing.add(jobs[random.below(jobs.size())].spec);
    out.push_back(packing.point());
  }
  return out;
}

}  // namespace hearth::sim
