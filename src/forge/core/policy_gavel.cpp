// In the manner of Gavel (Narayanan et al. 2020): devices go round among the jobs so that the job
// which has got the least runs next, and each runs on the kind of device that is worth most to it
// in comparison with what the others would lose there. Gavel finds the shares by a linear
// programme; here each round serves the least served, which goes to the same shares over time.
// Sizes are fixed: the largest at which each worker still does half of what one alone would.
#include <algorithm>
#include <tuple>

#include "forge/core/policy.h"

namespace hearth::forge {
namespace {

// A job keeps its devices for a turn, or for so many of its own restarts.
constexpr Millis kTurn = 360'000;
constexpr int32_t kTurnRestarts = 4;
constexpr double kEfficient = 0.5;
// Another kind has to be worth so much more than the one it is on.
constexpr double kChange = 1.2;

struct Claim {
  JobId id = 0;
  int32_t workers = 1;
  bool in_turn = false;
  double served = 0;          // run time by age, in units of an average device
  std::vector<double> worth;  // by kind: its rate there by its mean rate; 0: not there
  KindId kind = -1;           // it is to run on

  int64_t milli(const JobSpec& spec) const { return int64_t{workers} * spec.share_milli; }
};

class Turns {
 public:
  explicit Turns(Planner& planner) : planner_(planner), kinds_(planner.spec().kinds.size()) {}

  void run() {
    count_devices();
    for (JobId id : planner_.active()) add(id);
    std::stable_sort(claims_.begin(), claims_.end(), [](const Claim& a, const Claim& b) {
      return std::pair(!a.in_turn, a.served) < std::pair(!b.in_turn, b.served);
    });
    choose();
    give_kinds();
    apply();
  }

 private:
  void count_devices() {
    free_.assign(kinds_, 0);
    const Fleet& fleet = planner_.fleet();
    for (size_t n = 0; n < planner_.spec().nodes.size(); ++n) {
      const auto node = static_cast<NodeId>(n);
      const Node& spec = planner_.spec().nodes[n];
      if (fleet.present(node) && fleet.open(node))
        free_[static_cast<size_t>(spec.kind)] += int64_t{spec.devices} * kWholeDevice;
    }
  }

  static double rate(const JobSpec& spec, size_t kind, int32_t workers) {
    const auto id = static_cast<KindId>(kind);
    const bool taken = spec.kinds.empty() ||
                       std::find(spec.kinds.begin(), spec.kinds.end(), id) != spec.kinds.end();
    if (!taken) return 0;
    return spec.rates ? spec.rates->at(id, workers) : 1;
  }

  int32_t size_of(const JobSpec& spec) const {
    int32_t best = spec.min_workers;
    for (int32_t w = spec.min_workers * 2; w <= spec.max_workers; w *= 2) {
      for (size_t kind = 0; kind < kinds_; ++kind) {
        const double alone = rate(spec, kind, spec.min_workers) / spec.min_workers;
        if (alone > 0 && rate(spec, kind, w) / w >= kEfficient * alone) best = w;
      }
    }
    return best;
  }

  void add(JobId id) {
    const Job& job = planner_.job(id);
    if (planner_.draining(id)) planner_.evict(id, Reason::kDrained);
    Claim claim{.id = id, .workers = size_of(job.spec)};
    double sum = 0;
    int32_t count = 0;
    for (size_t kind = 0; kind < kinds_; ++kind) {
      claim.worth.push_back(rate(job.spec, kind, claim.workers));
      sum += claim.worth.back();
      count += claim.worth.back() > 0;
    }
    for (double& worth : claim.worth) worth = sum > 0 ? worth * count / sum : 0;
    const Millis now = planner_.now();
    const auto age = static_cast<double>(std::max<Millis>(1, now - job.submitted_at));
    claim.served = static_cast<double>(job.ran_until(now)) / age;
    if (!job.target.empty()) {
      const auto kind = static_cast<size_t>(planner_.kind_of(job));
      claim.served *= std::max(0.1, claim.worth[kind]);
      claim.in_turn = now - job.changed_at < std::max(kTurn, kTurnRestarts * job.spec.stop_cost);
      if (claim.in_turn) claim.workers = job.workers();
    }
    claims_.push_back(std::move(claim));
  }

  // Who runs next: in order, as long as there are devices, whatever their kind.
  void choose() {
    int64_t left = 0;
    for (int64_t milli : free_) left += milli;
    for (Claim& claim : claims_) {
      const JobSpec& spec = planner_.job(claim.id).spec;
      const bool chosen = claim.milli(spec) <= left;
      if (chosen) left -= claim.milli(spec);
      chosen_.push_back(chosen);
    }
  }

  // And where: the largest worth of all first.
  void give_kinds() {
    std::vector<std::tuple<double, size_t, size_t>> wishes;  // worth, claim, kind
    for (size_t c = 0; c < claims_.size(); ++c) {
      Claim& claim = claims_[c];
      if (!chosen_[c]) continue;
      const KindId now = planner_.kind_of(planner_.job(claim.id));
      if (claim.in_turn) {
        claim.kind = now;
        free_[static_cast<size_t>(now)] -= claim.milli(planner_.job(claim.id).spec);
        continue;
      }
      for (size_t kind = 0; kind < kinds_; ++kind) {
        const bool same = static_cast<KindId>(kind) == now;
        if (claim.worth[kind] > 0)
          wishes.emplace_back(claim.worth[kind] * (same ? kChange : 1), c, kind);
      }
    }
    std::stable_sort(wishes.begin(), wishes.end(),
                     [](const auto& a, const auto& b) { return std::get<0>(a) > std::get<0>(b); });
    for (const auto& [worth, c, kind] : wishes) {
      const int64_t milli = claims_[c].milli(planner_.job(claims_[c].id).spec);
      if (claims_[c].kind >= 0 || free_[kind] < milli) continue;
      claims_[c].kind = static_cast<KindId>(kind);
      free_[kind] -= milli;
    }
  }

  void apply() {
    for (const Claim& claim : claims_) {
      const Job& job = planner_.job(claim.id);
      if (job.target.empty()) continue;
      const bool stays = claim.kind == planner_.kind_of(job) && claim.workers == job.workers();
      if (!stays) planner_.evict(claim.id, Reason::kInOrder);
    }
    std::vector<const Claim*> order;
    for (const Claim& claim : claims_) order.push_back(&claim);
    std::stable_sort(order.begin(), order.end(), [](const Claim* a, const Claim* b) {
      return std::pair(a->kind < 0, -a->workers) < std::pair(b->kind < 0, -b->workers);
    });
    // Who got no kind takes what holes are left.
    for (const Claim* claim : order) {
      const Job& job = planner_.job(claim->id);
      if (!job.target.empty()) continue;
      if (claim->kind >= 0 &&
          planner_.place(claim->id, claim->workers, Reason::kBestFit, claim->kind))
        continue;
      if (planner_.place(claim->id, job.spec.min_workers)) continue;
      planner_.explain(claim->id,
                       planner_.ever_fits(job) ? Reason::kInOrder : Reason::kNoSuchPlace);
    }
  }

  Planner& planner_;
  size_t kinds_;
  std::vector<int64_t> free_;  // milli, by kind
  std::vector<Claim> claims_;  // in the order in which they are served
  std::vector<bool> chosen_;
};

}  // namespace

void plan_gavel(Planner& planner) { Turns(planner).run(); }

}  // namespace hearth::forge
