#include "forge/core/elastic.h"

#include <algorithm>
#include <cmath>

#include "forge/core/policy.h"

namespace hearth::forge {
namespace {

// What is left of a job's rate when its restarts so far and the next one are counted against its
// age: Sia's and Pollux's form. Squared, since the gain that a change promises is uncertain and its
// cost is not: in Sia's workloads that saves one restart in six.
double restart_factor(const Job& job, Millis now) {
  const auto age = static_cast<double>(now - job.submitted_at);
  const auto cost = static_cast<double>(job.spec.stop_cost);
  const double left = std::max(0.0, age - (job.starts - 1) * cost) / (age + cost);
  return left * left;
}

// What is left of a new rate when its restart comes out of the time that the job still takes there.
double payback(const Job& job, double rate) {
  if (job.work_left <= 0) return 1;
  const double left_ms = job.work_left / rate * 1000;
  return left_ms / (left_ms + static_cast<double>(job.spec.stop_cost));
}

bool may_use(const JobSpec& spec, KindId kind) {
  const auto& named = spec.kinds;
  return named.empty() || std::find(named.begin(), named.end(), kind) != named.end();
}

// kGoodput: Sia's. kMeanTime: that jobs are over soon, in the mean; those with little left first.
enum class Aim { kGoodput, kMeanTime };

struct Choice {
  KindId kind = -1;
  int32_t workers = 0;
  double utility = 0;
};

struct Candidate {
  JobId id;
  std::vector<Choice> choices;
  Choice chosen;
  Choice current;
  double left_s = 0;  // at its fastest; 0: unknown, or its size is fixed
};

// Sizes that pack well: powers of two within a node, then whole nodes.
std::vector<int32_t> sizes(int32_t node, int32_t low, int32_t high) {
  std::vector<int32_t> out;
  for (int32_t w = 1; w <= high; w = w < node ? w * 2 : w + node) {
    if (w >= low) out.push_back(w);
  }
  if (out.empty()) out.push_back(low);
  return out;
}

class Share {
 public:
  Share(Planner& planner, Aim aim) : planner_(planner), aim_(aim) {}

  void run() {
    count_devices();
    for (JobId id : planner_.active()) add(id);
    find_prices();
    choose();
    exchange();
    apply();
  }

  void run_among(const std::vector<JobId>& jobs) {
    count_devices();
    for (JobId id : jobs) add(id);
    if (aim_ == Aim::kMeanTime) weigh();
    for (Candidate& candidate : candidates_) start_with_fewest(candidate);
    find_prices();
    choose();
    exchange();
    apply_where_it_fits();
  }

 private:
  void count_devices() {
    const FleetSpec& spec = planner_.spec();
    free_.assign(spec.kinds.size(), 0);
    node_size_.assign(spec.kinds.size(), 1);
    for (size_t n = 0; n < spec.nodes.size(); ++n) {
      const auto kind = static_cast<size_t>(spec.nodes[n].kind);
      const auto node = static_cast<NodeId>(n);
      node_size_[kind] = std::max(node_size_[kind], spec.nodes[n].devices);
      if (planner_.fleet().present(node) && planner_.fleet().open(node)) {
        free_[kind] += planner_.fleet().free_devices(node);
      }
    }
  }

  void add(JobId id) {
    const Job& job = planner_.job(id);
    if (!job.spec.rates || job.spec.share_milli != kWholeDevice || planner_.draining(id)) return;
    Candidate candidate{id, {}, {}, {planner_.kind_of(job), job.workers(), 0}};
    double fastest = 0;
    double slowest = 0;
    const auto kinds = static_cast<KindId>(free_.size());
    for (KindId kind = 0; kind < kinds; ++kind) {
      const double rate = job.spec.rates->at(kind, job.spec.min_workers);
      if (may_use(job.spec, kind) && rate > 0 && (slowest == 0 || rate < slowest)) slowest = rate;
    }
    for (KindId kind = 0; kind < kinds && slowest > 0; ++kind) {
      if (!may_use(job.spec, kind)) continue;
      const int32_t node = node_size_[static_cast<size_t>(kind)];
      for (int32_t w : sizes(node, job.spec.min_workers, job.spec.max_workers)) {
        const double utility = value(job, kind, w, slowest, candidate.current);
        fastest = std::max(fastest, job.spec.rates->at(kind, w));
        if (utility > least_utility()) candidate.choices.push_back({kind, w, utility});
      }
    }
    const Choice& now = candidate.current;
    if (now.workers > 0 && slowest > 0) {
      const double utility = value(job, now.kind, now.workers, slowest, now);
      candidate.choices.push_back({now.kind, now.workers, utility});
    }
    candidate.chosen.utility = -kNothing;
    const bool grows = job.spec.max_workers > job.spec.min_workers;
    if (fastest > 0 && grows) candidate.left_s = job.work_left / fastest;
    if (candidate.current.workers > 0) {
      free_[static_cast<size_t>(candidate.current.kind)] += candidate.current.workers;
    }
    if (!candidate.choices.empty()) candidates_.push_back(std::move(candidate));
  }

  // By its place among the others: the one with the least left counts in full, the longest of n as
  // one in n. Where rates grow as a power of the workers, the shares with the least mean time go up
  // with this place (Berg et al. 2020), whatever the sizes themselves. The others count as the
  // median.
  void weigh() {
    std::vector<double> known;
    for (const Candidate& c : candidates_) {
      if (c.left_s > 0) known.push_back(c.left_s);
    }
    std::sort(known.begin(), known.end());
    for (Candidate& c : candidates_) {
      const auto shorter = std::lower_bound(known.begin(), known.end(), c.left_s) - known.begin();
      const double weight =
          c.left_s > 0 ? 1 - static_cast<double>(shorter) / static_cast<double>(known.size()) : 0.5;
      for (Choice& choice : c.choices) choice.utility *= weight;
      c.chosen.utility *= weight;
    }
  }

  // Its fewest workers are its own, whatever others would make of them.
  void start_with_fewest(Candidate& candidate) {
    const JobSpec& spec = planner_.job(candidate.id).spec;
    for (const Choice& choice : candidate.choices) {
      if (choice.kind != candidate.current.kind) continue;
      if (candidate.chosen.workers > 0 && choice.workers >= candidate.chosen.workers) continue;
      candidate.chosen = choice;
    }
    candidate.chosen.workers = std::max(candidate.chosen.workers, spec.min_workers);
    free_[static_cast<size_t>(candidate.current.kind)] -= candidate.chosen.workers;
  }

  double value(const Job& job, KindId kind, int32_t workers, double slowest,
               const Choice& current) const {
    double rate = job.spec.rates->at(kind, workers) / slowest;
    if (rate <= 0) return kImpossible;
    const bool same = kind == current.kind && workers == current.workers;
    if (!same && job.starts > 0) {
      if (aim_ == Aim::kMeanTime) rate *= payback(job, rate * slowest);
      rate *= restart_factor(job, planner_.now());
    }
    if (rate <= 0) return kImpossible;
    return -std::pow(rate, -0.5);
  }

  // Who keeps its fewest workers anyway has no choice that is worse than none.
  double least_utility() const { return aim_ == Aim::kGoodput ? -kNothing : kImpossible; }

  // What a device of each kind is worth to those who compete for it: the prices at which what every
  // job likes best would just take what there is, which is the dual of Sia's integer programme.
  void find_prices() {
    prices_.assign(free_.size(), kFirstPrice);
    for (int turn = 0; turn < kTurns; ++turn) {
      std::vector<double> asked(free_.size(), 0);
      for (const Candidate& candidate : candidates_) {
        const Choice best = best_at_prices(candidate);
        if (best.workers > 0) asked[static_cast<size_t>(best.kind)] += best.workers;
      }
      const double step = kFirstStep / (1 + kCooling * turn);
      for (size_t kind = 0; kind < free_.size(); ++kind) {
        const double beyond = asked[kind] / std::max(1, free_[kind]) - 1;
        prices_[kind] *= std::exp(step * std::min(beyond, 1.0));
      }
    }
  }

  Choice best_at_prices(const Candidate& candidate) const {
    Choice best = candidate.chosen;
    for (const Choice& choice : candidate.choices) {
      if (choice.utility - price(choice) > best.utility - price(best)) best = choice;
    }
    return best;
  }

  double price(const Choice& c) const {
    return c.workers == 0 ? 0 : prices_[static_cast<size_t>(c.kind)] * c.workers;
  }

  // The step with the most utility for its price, again and again.
  void choose() {
    while (true) {
      Candidate* best = nullptr;
      Choice best_choice;
      double best_gain = kTrifle;
      for (Candidate& candidate : candidates_) {
        for (const Choice& choice : candidate.choices) {
          const double more = choice.utility - candidate.chosen.utility;
          if (missing(candidate, choice) > 0 || more <= kTrifle) continue;
          const double dearer = price(choice) - price(candidate.chosen);
          const double gain = more / std::max(kCheapest, dearer);
          if (gain > best_gain) best = &candidate, best_choice = choice, best_gain = gain;
        }
      }
      if (!best) return;
      take(*best, best_choice);
    }
  }

  // Devices of its kind that this choice would need beyond those that are free or the job's own.
  int32_t missing(const Candidate& candidate, const Choice& choice) const {
    const int32_t own = candidate.chosen.kind == choice.kind ? candidate.chosen.workers : 0;
    return choice.workers - own - free_[static_cast<size_t>(choice.kind)];
  }

  void take(Candidate& candidate, const Choice& choice) {
    if (candidate.chosen.workers > 0)
      free_[static_cast<size_t>(candidate.chosen.kind)] += candidate.chosen.workers;
    free_[static_cast<size_t>(choice.kind)] -= choice.workers;
    candidate.chosen = choice;
  }

  // What no step of a single job reaches: one takes more, and another one gives it what is missing,
  // as long as both together gain. Takes the square of the jobs, so only among so many.
  void exchange() {
    if (candidates_.size() > kExchangeMax) return;
    size_t left = candidates_.size();
    for (bool again = true; again && left > 0;) {
      again = false;
      for (Candidate& taker : candidates_) {
        for (const Choice& more : taker.choices) {
          if (left > 0 && exchange_for(taker, more)) again = true, --left;
        }
      }
      if (again) choose();
    }
  }

  bool exchange_for(Candidate& taker, const Choice& more) {
    const double gain = more.utility - taker.chosen.utility;
    const int32_t wanted = missing(taker, more);
    if (gain <= kTrifle || wanted <= 0) return false;
    Candidate* giver = nullptr;
    Choice less;
    double least_loss = gain - kTrifle;
    for (Candidate& other : candidates_) {
      if (&other == &taker || other.chosen.workers == 0 || other.chosen.kind != more.kind) continue;
      for (const Choice& choice : other.choices) {
        const double loss = other.chosen.utility - choice.utility;
        if (loss < least_loss && gives(other, choice, taker) >= wanted)
          giver = &other, less = choice, least_loss = loss;
      }
    }
    if (!giver) return false;
    take(*giver, less);
    take(taker, more);
    return true;
  }

  // Devices of its kind that come free by this choice; of another kind it takes what is free there,
  // or what the taker leaves.
  int32_t gives(const Candidate& giver, const Choice& choice, const Candidate& taker) const {
    if (choice.kind == giver.chosen.kind) return giver.chosen.workers - choice.workers;
    const int32_t left = taker.chosen.kind == choice.kind ? taker.chosen.workers : 0;
    return choice.workers <= free_[static_cast<size_t>(choice.kind)] + left ? giver.chosen.workers
                                                                            : 0;
  }

  void apply() {
    std::vector<const Candidate*> changed;
    for (const Candidate& c : candidates_) {
      if (c.chosen.kind == c.current.kind && c.chosen.workers == c.current.workers) continue;
      changed.push_back(&c);
      if (c.current.workers > 0) planner_.evict(c.id, Reason::kInOrder);
    }
    std::stable_sort(changed.begin(), changed.end(), [](const Candidate* a, const Candidate* b) {
      return a->chosen.workers > b->chosen.workers;
    });
    for (const Candidate* c : changed) {
      if (c->chosen.workers > 0) put(*c);
      if (planner_.job(c->id).target.empty()) planner_.explain(c->id, Reason::kInOrder);
    }
  }

  // Who gives devices up goes first; who moves waits for the one that is where it goes.
  void apply_where_it_fits() {
    std::vector<const Candidate*> changed;
    for (const Candidate& c : candidates_) {
      const bool same_kind = c.chosen.kind == c.current.kind;
      if (same_kind && c.chosen.workers == c.current.workers) continue;
      if (same_kind && c.chosen.workers < c.current.workers) {
        planner_.shrink(c.id, c.chosen.workers, -1, Reason::kShared);
      } else {
        changed.push_back(&c);
      }
    }
    for (size_t before = changed.size() + 1; changed.size() < before;) {
      before = changed.size();
      std::erase_if(changed, [&](const Candidate* c) {
        return planner_.replace(c->id, c->chosen.workers, Reason::kShared, c->chosen.kind);
      });
    }
  }

  static Reason reason_of(const Candidate& c) {
    if (c.current.workers == 0) return Reason::kBestFit;
    if (c.chosen.kind != c.current.kind) return Reason::kMigrated;
    return c.chosen.workers < c.current.workers ? Reason::kShrunk : Reason::kGrown;
  }

  // Where holes are too small, the job takes the largest size that fits.
  void put(const Candidate& c) {
    const Job& job = planner_.job(c.id);
    const Reason reason = reason_of(c);
    for (int32_t w = c.chosen.workers; w >= job.spec.min_workers; w /= 2) {
      if (planner_.place(c.id, w, reason, c.chosen.kind)) return;
    }
    planner_.place(c.id, job.spec.min_workers, reason);
  }

  // What a job without devices is worth: below one worker of its slowest kind.
  static constexpr double kNothing = 1.5;
  static constexpr double kImpossible = -1e9;
  // Of the search for prices, in utility a device; steps shrink, and the last turns change little.
  static constexpr double kFirstPrice = 0.02;
  static constexpr double kCheapest = 1e-3 * kFirstPrice;
  static constexpr int kTurns = 100;
  static constexpr double kFirstStep = 0.5;
  static constexpr double kCooling = 0.1;
  // Less of a gain is rounding.
  static constexpr double kTrifle = 1e-9;
  static constexpr size_t kExchangeMax = 256;

  Planner& planner_;
  Aim aim_;
  std::vector<int32_t> free_;   // by kind
  std::vector<double> prices_;  // of a device, by kind
  std::vector<int32_t> node_size_;
  std::vector<Candidate> candidates_;
};

}  // namespace

void share_out(Planner& planner) { Share(planner, Aim::kGoodput).run(); }

void share_out_among(Planner& planner, const std::vector<JobId>& jobs) {
  Share(planner, Aim::kMeanTime).run_among(jobs);
}

// Who got no share, or takes none, is placed by arrival in what is left.
void plan_sia(Planner& planner) {
  share_out(planner);
  for (JobId id : planner.active()) {
    const Job& job = planner.job(id);
    if (!job.target.empty()) continue;
    if (planner.place(id, job.spec.min_workers)) continue;
    planner.explain(id, planner.ever_fits(job) ? Reason::kNoRoom : Reason::kNoSuchPlace);
  }
}

}  // namespace hearth::forge
