// Hearth's own policy.
//
// 1. Rank. In the order premium, standard, basic, who runs before who waits, the jobs that fit the
//    guarantee of their virtual cluster come first; the others borrow, as far as the limits let
//    them.
//    A job that is near the last start at which it meets its deadline goes one tier higher.
// 2. Place. Each job in turn takes free devices. For one that needs a single node smaller jobs may
//    move elsewhere. One that still finds none may take from those that rank in a lower class:
//    first the extra workers of elastic jobs, then whole jobs, the cheapest to stop first, and
//    nobody who is not in the way.
// 3. Grow. When nobody waits for it, what is idle goes to the elastic jobs that gain most.
#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <tuple>

#include "base/check.h"
#include "forge/core/clearing.h"
#include "forge/core/elastic.h"
#include "forge/core/policy.h"
#include "forge/core/quota.h"

namespace hearth::forge {
namespace {

// A job that has just been (re)started is left alone for so many times its stop cost, unless a
// guarantee needs its devices: otherwise two jobs could chase each other for ever.
constexpr int32_t kRestCosts = 10;

// What a change of its share costs an elastic job is counted against it; one part in so many of
// its stop cost it has peace.
constexpr int32_t kShareRestParts = 2;
// Jobs among which shares are found; the work grows with their square.
constexpr size_t kShareMax = 256;

// A job that waits for one node may have so much of its own size moved out of its way.
constexpr int32_t kMovedMax = 2;  // one worker in two
// Nodes that are looked at for that, the emptiest first.
constexpr size_t kTidyTries = 16;

// 0-2: guaranteed premium, standard, basic; 3-5: the same, borrowing; 6, 7: may not run now.
constexpr int32_t kBorrowing = 3;
constexpr int32_t kNothingLeft = 6;
constexpr int32_t kBarred = 7;

// Another kind of device has to be so much faster.
constexpr double kFaster = 1.5;

enum class Tidy { kNever, kForWaiting };

class Round {
 public:
  Round(Planner& planner, Tidy tidy) : planner_(planner), tidy_(tidy) {
    entries_.reserve(planner.active().size());
    for (JobId id : planner.active()) {
      const Brief& b = planner.brief(id);
      const auto tier = static_cast<int32_t>(b.tier);
      entries_.push_back({&b, b.urgent(planner.now()) ? std::max(0, tier - 1) : tier});
    }
    hopeless_.assign(kNothingLeft * planner.roster().shapes(), false);
  }

  void run() {
    rank();
    move_off_draining();
    // A job that finds no place gives up its claim for this round, so that it does not stand in the
    // way of those behind it in its virtual cluster.
    for (size_t before = 0;;) {
      others_wait_ = false;
      for (Entry* entry : order_) place(*entry);
      if (without_place_ == before || !others_wait_) break;
      before = without_place_;
      rank();
    }
    fill_left_over();
    grow();
  }

 private:
  struct Entry {
    const Brief* brief;
    int32_t tier = 0;  // one better than its own when its deadline is near
    int32_t rank = 0;
    bool gave_up = false;  // it found no place in this round

    bool waits() const { return brief->waits(); }
  };

  const Job& job(JobId id) const { return planner_.job(id); }
  int64_t capacity() const { return planner_.fleet().present_milli(); }
  Millis ran(const Brief& b) const { return planner_.now() - b.changed_at; }
  bool rested(const Brief& b) const { return ran(b) >= kRestCosts * b.stop_cost; }
  bool may_be_shared(const Brief& b) const {
    return job(b.id).starts == 0 || ran(b) * kShareRestParts >= b.stop_cost;
  }
  // What stopping it now would waste: the move itself, the start it has just paid for, and its work
  // where nothing saves that.
  Millis cost(const Brief& b) const {
    const Millis fresh = std::max<Millis>(0, kRestCosts * b.stop_cost - ran(b));
    const Millis lost = b.loses_work && b.running ? ran(b) : 0;
    return (b.stop_cost + fresh + lost) * static_cast<Millis>(std::max(1, b.workers));
  }

  void rank() {
    clearing_.reset();
    order_.clear();
    for (Entry& entry : entries_) {
      if (!entry.gave_up) order_.push_back(&entry);
    }
    in_order([](const Entry& e) { return 2 * static_cast<size_t>(e.tier) + e.waits(); });
    Quota quota(planner_.spec());
    std::vector<Entry*> beyond;
    for (Entry* entry : order_) {
      const Brief& b = *entry->brief;
      entry->rank = entry->tier;
      if (quota.cover(b.vc, b.need_milli(), capacity()) == Cover::kOwn) {
        quota.charge(b.vc, b.need_milli());
      } else {
        beyond.push_back(entry);
      }
    }
    for (Entry* entry : beyond) {
      const Brief& b = *entry->brief;
      const Cover cover = quota.cover(b.vc, b.need_milli(), capacity());
      if (may_run(cover)) quota.charge(b.vc, b.need_milli());
      const int32_t barred = cover == Cover::kFull ? kNothingLeft : kBarred;
      entry->rank = may_run(cover) ? kBorrowing + entry->rank : barred;
    }
    in_order([](const Entry& e) { return 2 * static_cast<size_t>(e.rank) + e.waits(); });
  }

  // Stable, by a key below kKeys: once through the jobs, of which there may be many thousands.
  static constexpr size_t kKeys = 2 * (kBarred + 1);
  template <typename Key>
  void in_order(Key key) {
    std::array<size_t, kKeys + 1> from{};
    for (const Entry* entry : order_) ++from[key(*entry) + 1];
    std::partial_sum(from.begin(), from.end(), from.begin());
    sorted_.resize(order_.size());
    for (Entry* entry : order_) sorted_[from[key(*entry)]++] = entry;
    order_.swap(sorted_);
  }

  void move_off_draining() {
    if (planner_.fleet().closed_nodes() == 0) return;
    for (const Entry* entry : order_) {
      const Brief& b = *entry->brief;
      if (b.waits() || !planner_.draining(b.id)) continue;
      if (planner_.replace(b.id, b.workers, Reason::kDrained)) continue;
      planner_.evict(b.id, Reason::kDrained);
    }
  }

  void place(Entry& entry) {
    const Brief& b = *entry.brief;
    if (!b.waits()) return;
    const Job& j = job(b.id);
    if (entry.rank >= kNothingLeft) {
      others_wait_ = true;
      const Reason why = entry.rank == kBarred ? Reason::kOverQuota : Reason::kNoRoom;
      return planner_.explain(b.id, planner_.ever_fits(j) ? why : Reason::kNoSuchPlace);
    }
    if (put(b, Reason::kBestFit)) return;
    // What one job of a shape could not make room for, the next one like it cannot either.
    const auto shape = static_cast<size_t>(b.shape);
    const size_t known = static_cast<size_t>(entry.rank) * planner_.roster().shapes() + shape;
    if (!hopeless_[known]) {
      if (make_room(b) || reclaim(entry)) return;
      hopeless_[known] = true;
    }
    entry.gave_up = true;
    ++without_place_;
    planner_.explain(b.id, planner_.ever_fits(j) ? Reason::kNoRoom : Reason::kNoSuchPlace);
  }

  // On free devices, of the kind on which it is fastest.
  bool put(const Brief& b, Reason reason) {
    if (b.has_rates && !planner_.full(b.id)) {
      for (KindId kind : fastest_first(job(b.id).spec, b.min_workers)) {
        if (planner_.place(b.id, b.min_workers, reason, kind)) return true;
      }
    }
    return planner_.place(b.id, b.min_workers, reason);
  }

  static std::vector<KindId> fastest_first(const JobSpec& spec, int32_t workers) {
    if (!spec.kinds.empty()) return spec.kinds;  // its owner's own order
    std::vector<KindId> kinds;
    for (size_t k = 0; k < spec.rates->rates.size(); ++k) {
      if (spec.rates->at(static_cast<KindId>(k), workers) > 0)
        kinds.push_back(static_cast<KindId>(k));
    }
    std::stable_sort(kinds.begin(), kinds.end(), [&](KindId a, KindId b) {
      return spec.rates->at(a, workers) > spec.rates->at(b, workers);
    });
    return kinds;
  }

  // A later job's reclaim can free more than it takes: those that found no place before look again.
  void fill_left_over() {
    if (without_place_ == 0) return;
    for (Entry& entry : entries_) {
      if (!entry.gave_up) continue;
      const Brief& b = *entry.brief;
      const bool may = may_run(planner_.claims().cover(b.vc, b.need_milli(), capacity()));
      if (may && put(b, Reason::kBestFit)) entry.gave_up = false, --without_place_;
    }
  }

  // --- reclaim: from lower classes, extra workers before whole jobs, the cheapest first ---

  void offer(const Entry& taker, const Entry& entry) {
    const Brief& victim = *entry.brief;
    if (victim.waits() || &entry == &taker) return;
    const bool lower = entry.rank > taker.rank;
    const bool extra = victim.extra() > 0;
    if (!lower && !extra) return;
    // Within the same tier and kind of claim a job that has just started is left alone.
    const bool alike = taker.tier >= entry.tier;
    const bool same_claim = taker.rank >= kBorrowing || entry.rank < kBorrowing;
    if (alike && same_claim && !rested(victim)) return;
    constexpr int32_t kWholeLater = 100;
    if (extra) clearing_->offer({-entry.rank, cost(victim), victim.id, victim.min_workers});
    if (lower) clearing_->offer({kWholeLater - entry.rank, cost(victim), victim.id, 0});
  }

  bool reclaim(const Entry& taker) {
    if (!clearing_ || clearing_for_ != taker.rank) {
      clearing_.emplace(planner_);
      clearing_for_ = taker.rank;
      for (const Entry* entry : order_) offer(taker, *entry);
    }
    const Brief& b = *taker.brief;
    const std::vector<Leaver> leavers =
        clearing_->room_for(job(b.id).spec, planner_.roster().shape(b));
    if (leavers.empty()) return false;
    for (const Leaver& leaver : leavers) {
      if (planner_.brief(leaver.id).waits()) continue;  // it has left as a whole
      clearing_->withdraw(leaver.id);
      if (leaver.stays == 0) {
        planner_.evict(leaver.id, Reason::kPreempted, b.id);
      } else {
        planner_.shrink(leaver.id, leaver.stays, b.id);
        offer(taker, *entry_of(leaver.id));
      }
    }
    const bool placed = planner_.place(b.id, b.min_workers, Reason::kReclaimed);
    CHECK(placed, "job {} has no place after {} jobs made room for it", b.id, leavers.size());
    return true;
  }

  Entry* entry_of(JobId id) {
    return &*std::lower_bound(entries_.begin(), entries_.end(), id,
                              [](const Entry& e, JobId wanted) { return e.brief->id < wanted; });
  }

  // --- tidy: smaller jobs move where that makes one node empty enough ---

  bool make_room(const Brief& b) {
    const JobSpec& spec = job(b.id).spec;
    if (tidy_ == Tidy::kNever || spec.locality != Locality::kNode || b.min_workers < 2)
      return false;
    Shape& shape = planner_.roster().shape(b);
    const Fleet& fleet = planner_.fleet();
    if (fleet.last_freed(shape.pools) <= shape.packed_at) return false;
    for (NodeId node : emptiest_nodes(b, shape)) {
      const std::vector<JobId> movers = movers_from(node, b);
      if (movers.empty() || !planner_.clear(node, movers, b.id)) continue;
      clearing_.reset();
      movable_.clear();
      const bool placed = planner_.place(b.id, b.min_workers);
      CHECK(placed, "job {} has no place after {} jobs moved", b.id, movers.size());
      return true;
    }
    shape.packed_at = fleet.freed_now();
    return false;
  }

  std::vector<NodeId> emptiest_nodes(const Brief& b, const Shape& shape) const {
    const Fleet& fleet = planner_.fleet();
    std::vector<NodeId> nodes;
    for (int32_t pool : shape.pools) {
      for (int32_t free = b.min_workers - 1; free * kMovedMax >= b.min_workers; --free) {
        for (NodeId node : fleet.nodes_with(pool, free)) {
          if (nodes.size() < kTidyTries) nodes.push_back(node);
        }
      }
    }
    std::stable_sort(nodes.begin(), nodes.end(), [&](NodeId x, NodeId y) {
      return fleet.free_devices(x) > fleet.free_devices(y);
    });
    return nodes;
  }

  // The cheapest on this node that free enough, or none.
  std::vector<JobId> movers_from(NodeId node, const Brief& taker) {
    if (movable_.empty()) find_movable();
    int32_t missing = taker.min_workers - planner_.fleet().free_devices(node);
    int32_t moved = 0;
    std::vector<JobId> movers;
    for (auto at = std::lower_bound(movable_.begin(), movable_.end(), Movable{node, 0, 0});
         at != movable_.end() && std::get<0>(*at) == node && missing > 0; ++at) {
      const Brief& mover = planner_.brief(std::get<2>(*at));
      if (mover.node != node) continue;  // it has left in this round
      moved += mover.workers;
      missing -= mover.workers;
      movers.push_back(mover.id);
    }
    if (missing > 0 || moved * kMovedMax > taker.min_workers) movers.clear();
    return movers;
  }

  // By node, then price. Parts of devices stay: to free one device several would have to move.
  using Movable = std::tuple<NodeId, Millis, JobId>;
  void find_movable() {
    for (const Entry& entry : entries_) {
      const Brief& b = *entry.brief;
      if (b.node >= 0 && b.share_milli == kWholeDevice && rested(b))
        movable_.emplace_back(b.node, cost(b), b.id);
    }
    std::sort(movable_.begin(), movable_.end());
  }

  // What nobody waits for goes to the elastic jobs by what it is worth to each. Where there are
  // very many of them that takes too long, and each in turn takes what helps it.
  void grow() {
    if (without_place_ > 0) return;
    std::vector<JobId> elastic;
    for (const Entry* entry : order_) {
      const Brief& b = *entry->brief;
      const bool whole = b.share_milli == kWholeDevice;
      if (!b.waits() && b.has_rates && whole && may_be_shared(b)) elastic.push_back(b.id);
    }
    if (elastic.size() > kShareMax) return grow_in_turn();
    if (!elastic.empty()) share_out_among(planner_, elastic);
  }

  void grow_in_turn() {
    for (const Entry* entry : order_) {
      const Brief& b = *entry->brief;
      if (b.waits() || !b.has_rates || !rested(b)) continue;
      const Job& j = job(b.id);
      if (change_kind(b) || b.workers >= b.max_workers) continue;
      const KindId kind = planner_.kind_of(j);
      const int32_t room = static_cast<int32_t>(planner_.fleet().free_milli() / j.spec.share_milli);
      const int32_t most = std::min(j.spec.max_workers, j.workers() + room);
      const double rate = j.spec.rates->at(kind, j.workers());
      for (int32_t workers = most; workers > j.workers(); workers = (workers + j.workers()) / 2) {
        const double faster = j.spec.rates->at(kind, workers);
        // Not worth a restart unless each new worker brings half of what the present ones do.
        const double gain = (faster - rate) / (workers - j.workers());
        if (rate > 0 && gain < 0.5 * rate / j.workers()) continue;
        if (planner_.replace(b.id, workers, Reason::kGrown, kind)) break;
      }
    }
  }

  // To idle devices that are so much faster that the move pays.
  bool change_kind(const Brief& b) {
    const JobSpec& spec = job(b.id).spec;
    if (planner_.fleet().free_milli() < b.need_milli() || !spec.kinds.empty()) return false;
    const double now = spec.rates->at(planner_.kind_of(job(b.id)), b.workers);
    for (KindId kind : fastest_first(spec, b.workers)) {
      if (spec.rates->at(kind, b.workers) < kFaster * now) return false;
      if (planner_.replace(b.id, b.workers, Reason::kGrown, kind)) return true;
    }
    return false;
  }

  Planner& planner_;
  Tidy tidy_;
  std::vector<Entry> entries_;  // of the active jobs, ascending
  std::vector<Entry*> order_;
  std::vector<Entry*> sorted_;
  size_t without_place_ = 0;    // gave up
  bool others_wait_ = false;    // who may not run now, but perhaps when others gave up
  std::vector<bool> hopeless_;  // by rank and shape
  std::optional<Clearing> clearing_;
  int32_t clearing_for_ = -1;  // rank
  std::vector<Movable> movable_;
};

}  // namespace

void plan_hearth(Planner& planner) { Round(planner, Tidy::kForWaiting).run(); }

void plan_hearth_still(Planner& planner) { Round(planner, Tidy::kNever).run(); }

// Who waits has found no place, and a newcomer leaves them none the fewer that they could use.
// Where one like it waits already, that one would be served first, so nothing can come of a whole
// plan.
bool arrive_hearth(Planner& planner, JobId id) {
  const Brief& brief = planner.brief(id);
  // An elastic one gets its share of a small fleet before it starts, not by starting again.
  const bool elastic = brief.has_rates && brief.max_workers > brief.min_workers;
  if (elastic && planner.active().size() <= kShareMax) return false;
  const Cover cover =
      planner.claims().cover(brief.vc, brief.need_milli(), planner.fleet().present_milli());
  if (may_run(cover) && planner.place(id, brief.min_workers)) return true;
  if (brief.has_deadline() || !planner.roster().like_it_wait(id)) return false;
  const Reason why = cover == Cover::kRefused ? Reason::kOverQuota : Reason::kNoRoom;
  planner.explain(id, planner.ever_fits(planner.job(id)) ? why : Reason::kNoSuchPlace);
  return true;
}

}  // namespace hearth::forge
