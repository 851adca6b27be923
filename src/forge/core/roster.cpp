#include "forge/core/roster.h"

namespace hearth::forge {

void Roster::refresh(const Job& job) {
  const auto at = static_cast<size_t>(job.id);
  if (at >= briefs_.size()) briefs_.resize(at + 1);
  Brief& brief = briefs_[at];
  count(brief, -1);
  const JobSpec& spec = job.spec;
  brief.id = job.id;
  brief.vc = spec.vc;
  brief.min_workers = spec.min_workers;
  brief.max_workers = spec.max_workers;
  brief.share_milli = spec.share_milli;
  brief.tier = spec.tier;
  brief.active = job.active();
  brief.has_rates = spec.rates != nullptr;
  brief.stop_cost = job.move_cost();
  brief.loses_work = job.checkpoint() == CheckpointBy::kNone;
  brief.changed_at = job.changed_at;
  brief.running = job.state == JobState::kRunning;
  brief.latest_start = job.latest_start();
  brief.hurry = job.hurry();
  if (brief.active) brief.shape = shape_of(spec);
  put(brief, job);
  count(brief, 1);
}

void Roster::moved(const Job& job) {
  Brief& brief = briefs_[static_cast<size_t>(job.id)];
  count(brief, -1);
  put(brief, job);
  count(brief, 1);
}

void Roster::put(Brief& brief, const Job& job) {
  brief.workers = job.workers();
  const bool together = !job.target.empty() && job.target.front().node == job.target.back().node;
  brief.node = together ? job.target.front().node : -1;
}

void Roster::count(const Brief& brief, int32_t by) {
  if (!brief.active || !brief.waits()) return;
  const auto entry = waiting_.try_emplace(account_of(brief), 0).first;
  if ((entry->second += by) == 0) waiting_.erase(entry);
}

bool Roster::like_it_wait(JobId id) const {
  const auto found = waiting_.find(account_of(brief(id)));
  return found != waiting_.end() && found->second > (brief(id).waits() ? 1 : 0);
}

void Roster::forget_shapes() {
  shapes_.clear();
  known_.clear();
  waiting_.clear();
  briefs_.assign(briefs_.size(), {});
}

int32_t Roster::shape_of(const JobSpec& spec) {
  const auto id = static_cast<int32_t>(shapes_.size());
  const auto [known, fresh] =
      known_.try_emplace(Key{spec.min_workers, spec.share_milli, spec.memory_gb_min, spec.locality,
                             spec.spot, spec.regions, spec.kinds, spec.clusters},
                         id);
  if (fresh) shapes_.push_back({fleet_->eligible_pools(spec), fleet_->ever_fits(spec)});
  return known->second;
}

}  // namespace hearth::forge
