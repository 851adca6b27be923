// Hearth's own policy.
//
// 1. Rank. In the order premium, standard, basic, who runs before who waits, the jobs that fit
// their
//    virtual cluster's guarantee come first; the others borrow, as far as the limits let them.
// 2. Place. Each job in turn takes free devices. One that finds none may take from those that rank
//    in a lower class: first the extra workers of elastic jobs, then whole jobs, the cheapest to
//    stop first; whoever turns out not to be in the way keeps its place.
// 3. Grow. When nobody waits for it, what is idle goes to the elastic jobs that gain most.
// 4. Tidy. A job whose node drains moves; a small one moves where that makes a hole large enough
//    for a gang that waits.
#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "forge/core/policy.h"
#include "forge/core/quota.h"

namespace hearth::forge {
namespace {

// A job that has just been (re)started is left alone for so many times its stop cost, unless a
// guarantee needs its devices: otherwise two jobs could chase each other for ever.
constexpr int32_t kRestCosts = 10;

// Who reclaims looks at the cheapest jobs that together hold so many times what it needs: among
// 100,000 devices it does not turn over the whole fleet to find one that fits together.
constexpr int64_t kReach = 32;

struct Ranked {
  JobId id = 0;
  // 0-2: guaranteed premium, standard, basic; 3-5: the same, borrowing; 6, 7: may not run now.
  int32_t rank = 0;
};
constexpr int32_t kBorrowing = 3;
constexpr int32_t kNothingLeft = 6;
constexpr int32_t kBarred = 7;

class Round {
 public:
  explicit Round(Planner& planner) : planner_(planner) {}

  void run() {
    rank();
    move_off_draining();
    // A job that finds no place gives up its claim for this round, so that it does not stand in the
    // way of those behind it in its virtual cluster.
    for (size_t hopeless = 1; hopeless > 0;) {
      const size_t before = waiting_.size();
      hopeless_.clear();
      for (const Ranked& r : order_) place(r);
      hopeless = waiting_.size() - before;
      if (hopeless > 0) rank();
    }
    fill_left_over();
    grow();
  }

 private:
  const Job& job(JobId id) const { return planner_.job(id); }
  static int64_t need(const Job& job) { return job.need_milli(); }
  int64_t capacity() const { return planner_.fleet().present_milli(); }
  // What stopping it now would waste: the move itself, and the start it has just paid for.
  Millis cost(const Job& j) const {
    const Millis ran = planner_.now() - j.changed_at;
    const Millis fresh = std::max<Millis>(0, kRestCosts * j.spec.stop_cost - ran);
    return (j.spec.stop_cost + fresh) * static_cast<Millis>(std::max<size_t>(1, j.target.size()));
  }

  void rank() {
    order_.clear();
    std::vector<JobId> jobs = planner_.active();
    std::erase_if(jobs, [&](JobId id) { return waiting_.contains(id); });
    in_order(jobs, [&](JobId id) {
      return 2 * static_cast<size_t>(job(id).spec.tier) + job(id).target.empty();
    });
    Quota quota(planner_.spec());
    std::vector<JobId> beyond;
    for (JobId id : jobs) {
      const Job& j = job(id);
      if (quota.cover(j.spec.vc, need(j), capacity()) == Cover::kOwn) {
        quota.charge(j.spec.vc, need(j));
        order_.push_back({id, static_cast<int32_t>(j.spec.tier)});
      } else {
        beyond.push_back(id);
      }
    }
    for (JobId id : beyond) {
      const Job& j = job(id);
      const Cover cover = quota.cover(j.spec.vc, need(j), capacity());
      if (may_run(cover)) quota.charge(j.spec.vc, need(j));
      const int32_t barred = cover == Cover::kFull ? kNothingLeft : kBarred;
      order_.push_back(
          {id, may_run(cover) ? kBorrowing + static_cast<int32_t>(j.spec.tier) : barred});
    }
    in_order(order_, [&](const Ranked& r) {
      return 2 * static_cast<size_t>(r.rank) + job(r.id).target.empty();
    });
  }

  // Stable, by a key below kKeys: once through the jobs, of which there may be many thousands.
  static constexpr size_t kKeys = 2 * (kBarred + 1);
  template <typename T, typename Key>
  static void in_order(std::vector<T>& items, Key key) {
    std::array<std::vector<T>, kKeys> by_key;
    for (const T& item : items) by_key[key(item)].push_back(item);
    items.clear();
    for (const std::vector<T>& some : by_key) items.insert(items.end(), some.begin(), some.end());
  }

  void move_off_draining() {
    for (const Ranked& r : order_) {
      const Job& j = job(r.id);
      if (j.target.empty() || !planner_.draining(r.id)) continue;
      const int32_t wanted = j.workers();
      if (planner_.replace(r.id, wanted, Reason::kDrained)) continue;
      planner_.evict(r.id, Reason::kDrained);
    }
  }

  void place(const Ranked& r) {
    const Job& j = job(r.id);
    if (!j.target.empty()) return;
    if (r.rank >= kNothingLeft) {
      const Reason why = r.rank == kBarred ? Reason::kOverQuota : Reason::kNoRoom;
      return planner_.explain(r.id, planner_.ever_fits(j) ? why : Reason::kNoSuchPlace);
    }
    // What one job of a kind did not find, the next one like it does not find either.
    const Shape shape = shape_of(r, j.spec);
    if (!hopeless_.contains(shape)) {
      if (planner_.place(r.id, j.spec.min_workers) || reclaim(r)) return;
      hopeless_.insert(shape);
    }
    waiting_.insert(r.id);
    planner_.explain(r.id, planner_.ever_fits(j) ? Reason::kNoRoom : Reason::kNoSuchPlace);
  }

  // All that decides whether a job finds a place, or may take one.
  using Shape = std::tuple<int32_t, int32_t, int32_t, int32_t, Locality, Spot,
                           std::vector<RegionId>, std::vector<KindId>, std::vector<ClusterId>>;
  static Shape shape_of(const Ranked& r, const JobSpec& spec) {
    return {r.rank,    spec.min_workers, spec.share_milli, spec.memory_gb_min, spec.locality,
            spec.spot, spec.regions,     spec.kinds,       spec.clusters};
  }

  // A later job's reclaim can free more than it takes: those that found no place before look again.
  void fill_left_over() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      const Job& j = job(*it);
      const bool may = may_run(planner_.claims().cover(j.spec.vc, need(j), capacity()));
      if (may && planner_.place(*it, j.spec.min_workers)) {
        it = waiting_.erase(it);
      } else {
        ++it;
      }
    }
  }

  struct Taken {
    JobId id;
    Placement slots;
    Why why;
  };

  bool may_take(const Job& taker, const Job& victim) const {
    if (victim.target.empty()) return false;
    return std::any_of(victim.target.begin(), victim.target.end(), [&](const Slot& slot) {
      return planner_.fleet().eligible(taker.spec, slot.node);
    });
  }

  bool reclaim(const Ranked& r) {
    const Job& taker = job(r.id);
    std::vector<Ranked> victims;
    int64_t could_free = 0;
    for (const Ranked& v : order_) {
      const Job& victim = job(v.id);
      const bool lower = v.rank > r.rank;
      const bool extra = victim.workers() > victim.spec.min_workers;
      if ((!lower && !extra) || v.id == r.id || !may_take(taker, victim)) continue;
      // Within the same tier and kind of claim a job that has just started is left alone.
      const bool fresh = planner_.now() - victim.changed_at < kRestCosts * victim.spec.stop_cost;
      const bool alike = taker.spec.tier >= victim.spec.tier;
      if (fresh && alike && (r.rank >= kBorrowing || v.rank < kBorrowing)) continue;
      victims.push_back(v);
      could_free += int64_t{victim.workers()} * victim.spec.share_milli;
    }
    if (could_free + planner_.fleet().free_milli() < need(taker)) return false;
    std::stable_sort(victims.begin(), victims.end(), [&](const Ranked& a, const Ranked& b) {
      return std::pair(-a.rank, cost(job(a.id))) < std::pair(-b.rank, cost(job(b.id)));
    });
    std::vector<Taken> taken;
    const bool placed =
        shrink_until_placed(r, victims, taken) || evict_until_placed(r, victims, taken);
    // In reverse: the dearest get their place back first, if it is not needed after all.
    for (size_t i = taken.size(); i-- > 0;)
      planner_.restore(taken[i].id, taken[i].slots, taken[i].why);
    return placed;
  }

  bool shrink_until_placed(const Ranked& r, std::span<const Ranked> victims,
                           std::vector<Taken>& taken) {
    for (const Ranked& v : victims) {
      const Job& victim = job(v.id);
      if (victim.workers() <= victim.spec.min_workers) continue;
      taken.push_back({v.id, victim.target, victim.why});
      planner_.shrink(v.id, victim.spec.min_workers, r.id);
      if (planner_.place(r.id, job(r.id).spec.min_workers, Reason::kReclaimed)) return true;
    }
    return false;
  }

  bool evict_until_placed(const Ranked& r, std::span<const Ranked> victims,
                          std::vector<Taken>& taken) {
    const int64_t reach = kReach * need(job(r.id));
    int64_t freed = 0;
    for (const Ranked& v : victims) {
      if (v.rank <= r.rank) continue;
      if (freed > reach) return false;
      freed += int64_t{job(v.id).workers()} * job(v.id).spec.share_milli;
      taken.push_back({v.id, job(v.id).target, job(v.id).why});
      planner_.evict(v.id, Reason::kPreempted, r.id);
      if (planner_.place(r.id, job(r.id).spec.min_workers, Reason::kReclaimed)) return true;
    }
    return false;
  }

  // One worker's worth of speed-up for each job in turn, the largest gain first.
  void grow() {
    if (!waiting_.empty()) return;
    for (const Ranked& r : order_) {
      const Job& j = job(r.id);
      if (j.target.empty() || !j.spec.rates || j.workers() >= j.spec.max_workers) continue;
      if (planner_.now() - j.changed_at < kRestCosts * j.spec.stop_cost) continue;
      const KindId kind = planner_.kind_of(j);
      const int32_t room = static_cast<int32_t>(planner_.fleet().free_milli() / j.spec.share_milli);
      const int32_t most = std::min(j.spec.max_workers, j.workers() + room);
      const double rate = j.spec.rates->at(kind, j.workers());
      for (int32_t workers = most; workers > j.workers(); workers = (workers + j.workers()) / 2) {
        const double faster = j.spec.rates->at(kind, workers);
        // Not worth a restart unless each new worker brings half of what the present ones do.
        const double gain = (faster - rate) / (workers - j.workers());
        if (rate > 0 && gain < 0.5 * rate / j.workers()) continue;
        if (planner_.replace(r.id, workers, Reason::kGrown, kind)) break;
      }
    }
  }

  Planner& planner_;
  std::vector<Ranked> order_;
  std::set<JobId> waiting_;  // for a place, in this round
  std::set<Shape> hopeless_;
};

}  // namespace

void plan_hearth(Planner& planner) { Round(planner).run(); }

// Who waits has found no place, and a newcomer leaves them none the fewer that they could use.
bool arrive_hearth(Planner& planner, JobId id) {
  const Job& job = planner.job(id);
  const Cover cover =
      planner.claims().cover(job.spec.vc, job.need_milli(), planner.fleet().present_milli());
  return may_run(cover) && planner.place(id, job.spec.min_workers);
}

}  // namespace hearth::forge
