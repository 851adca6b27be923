#include "sim/forge_histories.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <memory>

#include "base/random.h"
#include "sim/forge_laws.h"

namespace hearth::sim {

using namespace forge;

namespace {

constexpr Millis kStep = 500;
constexpr Millis kStorm = 300'000;       // failures happen until here
constexpr Millis kPatience = 3'600'000;  // and everything is over by then, or it is a livelock
constexpr Millis kLongestJob = 60'000;

FleetSpec random_fleet(Random& random) {
  FleetSpec fleet;
  fleet.kinds = {{"small", 16, 70}, {"large", 80, 400}};
  fleet.regions = {{"north", 40}, {"south", 300}};
  const auto clusters = static_cast<int32_t>(random.between(1, 3));
  for (int32_t c = 0; c < clusters; ++c) {
    const Spot spot = c == 2 && random.chance(0.5) ? Spot::kAllowed : Spot::kRefused;
    fleet.clusters.push_back({fmt::format("c{}", c), static_cast<RegionId>(c % 2), spot});
    const auto nodes = random.between(1, 3);
    for (int64_t n = 0; n < nodes; ++n) {
      fleet.nodes.push_back({fmt::format("c{}n{}", c, n), c, static_cast<KindId>(random.below(2)),
                             static_cast<int32_t>(random.between(1, 4))});
    }
  }
  int32_t devices = 0;
  for (const Node& node : fleet.nodes) devices += node.devices;
  fleet.virtual_clusters.push_back({"all", -1, devices});
  const auto first = static_cast<int32_t>(random.between(0, devices));
  fleet.virtual_clusters.push_back({"a", 0, first});
  fleet.virtual_clusters.push_back(
      {"b", 0, static_cast<int32_t>(random.between(0, devices - first))});
  if (random.chance(0.3))
    fleet.virtual_clusters[1].borrow_max = static_cast<int32_t>(random.below(3));
  if (random.chance(0.3))
    fleet.virtual_clusters[2].lend_max = static_cast<int32_t>(random.below(3));
  return fleet;
}

JobSpec random_job(Random& random, const FleetSpec& fleet) {
  JobSpec job;
  job.vc = static_cast<VcId>(random.below(fleet.virtual_clusters.size()));
  job.tier = static_cast<Tier>(random.below(3));
  job.min_workers = static_cast<int32_t>(random.between(1, 3));
  job.max_workers = job.min_workers + static_cast<int32_t>(random.below(4));
  if (random.chance(0.2)) job.share_milli = 250 * static_cast<int32_t>(random.between(1, 3));
  if (random.chance(0.3)) job.regions = {static_cast<RegionId>(random.below(2))};
  if (random.chance(0.3)) job.kinds = {static_cast<KindId>(random.below(2))};
  if (random.chance(0.3)) job.locality = static_cast<Locality>(random.below(4));
  if (random.chance(0.5)) job.spot = Spot::kAllowed;
  job.stop_cost = random.between(500, 2'000);
  job.expected = random.between(1'000, kLongestJob);
  if (random.chance(0.6)) {
    auto table = std::make_shared<RateTable>();
    table->rates.assign(2, {0});
    for (int32_t w = 1; w <= job.max_workers; ++w) {
      for (size_t k = 0; k < 2; ++k) table->rates[k].push_back((1.0 + static_cast<double>(k)) * w);
    }
    job.rates = table;
  }
  return job;
}

class History {
 public:
  explicit History(const ForgeHistoryOptions& options)
      : options_(options),
        random_(split_mix(options.seed)),
        fleet_(random_fleet(random_)),
        policy_(options.policy ? options.policy : &policies()[random_.below(policies().size())]) {
    report_.seed = options.seed;
    scheduler_ = std::make_unique<Scheduler>(fleet_, *policy_, terms_);
    for (size_t n = 0; n < fleet_.nodes.size(); ++n) {
      agents_.emplace_back(static_cast<NodeId>(n), 1, terms_);
    }
    parted_until_.assign(fleet_.nodes.size(), 0);
    dead_until_.assign(fleet_.nodes.size(), 0);
    loss_ = random_.chance(0.5) ? 0.0 : random_.uniform() * 0.3;
    copies_ = random_.uniform() * 0.3;
    slowest_ = random_.between(1, 20) * kStep;
    jobs_left_ = static_cast<int32_t>(random_.between(3, 20));
  }

  ForgeHistoryReport run() {
    while (report_.failure.empty()) {
      if (now_ > kPatience) {
        fail("after an hour without failures some job has not ended: " + unfinished());
        break;
      }
      step();
      if (jobs_left_ == 0 && now_ > kStorm && all_over()) break;
      now_ += kStep;
    }
    for (const Job& job : scheduler_->jobs()) {
      report_.succeeded += job.state == JobState::kSucceeded;
      report_.starts += job.starts;
      report_.preemptions += job.preemptions;
    }
    report_.jobs = static_cast<int32_t>(truth_.specs.size());
    if (!report_.failure.empty()) {
      report_.failure = fmt::format("seed {}, policy {}, at {} ms: {}", options_.seed,
                                    policy_->name, now_, report_.failure);
    }
    return report_;
  }

 private:
  struct ToAgent {
    NodeId node;
    Command command;
  };

  bool storm() const { return now_ < kStorm; }
  bool reachable(NodeId node) const { return now_ >= parted_until_[static_cast<size_t>(node)]; }
  bool alive(NodeId node) const { return now_ >= dead_until_[static_cast<size_t>(node)]; }
  void fail(std::string text) {
    if (report_.failure.empty()) report_.failure = std::move(text);
  }

  void step() {
    if (storm()) misfortune();
    submit_some();
    deliver();
    if (options_.fault != ForgeFault::kNoResend) feed(Tick{});
    for (size_t n = 0; n < agents_.size(); ++n) run_agent(static_cast<NodeId>(n));
  }

  void misfortune() {
    for (size_t n = 0; n < agents_.size(); ++n) {
      if (random_.chance(0.002)) parted_until_[n] = now_ + random_.between(1, 90'000);
      if (random_.chance(0.001)) die(n);
    }
    if (random_.chance(0.004)) restart_scheduler();
    if (random_.chance(0.003)) feed(Drain{some_node()});
    if (random_.chance(0.01)) feed(Undrain{some_node()});
    if (random_.chance(0.003) && !truth_.specs.empty()) {
      feed(Cancel{static_cast<JobId>(random_.below(truth_.specs.size()))});
    }
    if (now_ + kStep >= kStorm) {
      for (size_t n = 0; n < agents_.size(); ++n) feed(Undrain{static_cast<NodeId>(n)});
    }
  }

  NodeId some_node() { return static_cast<NodeId>(random_.below(agents_.size())); }

  // The machine goes, with all that runs on it, and comes back with a newer incarnation.
  void die(size_t n) {
    dead_until_[n] = now_ + random_.between(1'000, 60'000);
    agents_[n] = Agent(static_cast<NodeId>(n), agents_[n].incarnation() + 1, terms_);
    progress_.erase(static_cast<NodeId>(n));
    ++report_.nodes_lost;
  }

  void restart_scheduler() {
    ++report_.restarts;
    const uint64_t before = scheduler_->fingerprint();
    if (options_.fault == ForgeFault::kLostJournal && journal_.size() > 5) {
      journal_.resize(journal_.size() - 5);
    }
    scheduler_ = std::make_unique<Scheduler>(fleet_, *policy_, terms_);
    std::vector<Command> said;
    for (const auto& [at, event] : journal_) scheduler_->apply(at, event, said);
    if (scheduler_->fingerprint() != before) fail("the journal gives another state");
  }

  void submit_some() {
    if (jobs_left_ == 0 || !random_.chance(0.1)) return;
    --jobs_left_;
    const JobSpec spec = random_job(random_, fleet_);
    truth_.specs.push_back(spec);
    truth_.done.push_back(false);
    Submit submit{spec};
    if (options_.fault == ForgeFault::kWrongRegion) submit.spec.regions.clear();
    feed(submit);
  }

  void feed(const Event& event) {
    ++report_.events;
    journal_.emplace_back(now_, event);
    std::vector<Command> commands;
    scheduler_->apply(now_, event, commands);
    for (const Command& command : commands) {
      const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
      if (options_.fault == ForgeFault::kEarlyFree) report_early(command);
      post(to_agents_, ToAgent{node, command}, node);
    }
    fail_if(check_books(*scheduler_, truth_));
    fail_if(check_agents(fleet_, agents_, truth_));
    if (std::string_view(policy_->name) == "hearth") fail_if(check_guarantees(*scheduler_));
  }

  void fail_if(const std::string& broken) {
    if (!broken.empty()) fail(broken);
  }

  void report_early(const Command& command) {
    const auto* stop = std::get_if<Stop>(&command);
    if (!stop) return;
    post(to_scheduler_,
         Event(Ended{stop->node, stop->incarnation, stop->job, stop->epoch, Outcome::kSaved}),
         stop->node);
  }

  template <typename Message>
  void post(std::multimap<Millis, Message>& queue, const Message& message, NodeId node) {
    const int copies = 1 + (storm() && random_.chance(copies_));
    for (int i = 0; i < copies; ++i) {
      if (storm() && (random_.chance(loss_) || !reachable(node))) continue;
      queue.emplace(now_ + (storm() ? random_.between(0, slowest_) : 0), message);
    }
  }

  void deliver() {
    while (!to_agents_.empty() && to_agents_.begin()->first <= now_) {
      const ToAgent letter = to_agents_.begin()->second;
      to_agents_.erase(to_agents_.begin());
      if (!alive(letter.node) || (storm() && !reachable(letter.node))) continue;
      hand_over(letter);
    }
    while (!to_scheduler_.empty() && to_scheduler_.begin()->first <= now_) {
      Event event = to_scheduler_.begin()->second;
      to_scheduler_.erase(to_scheduler_.begin());
      if (options_.fault == ForgeFault::kStaleEpoch) {
        if (auto* ended = std::get_if<Ended>(&event))
          ended->epoch = scheduler_->job(ended->job).epoch;
      }
      feed(event);
    }
  }

  void hand_over(const ToAgent& letter) {
    Agent& agent = agents_[static_cast<size_t>(letter.node)];
    std::vector<Event> replies;
    const auto* stop = std::get_if<Stop>(&letter.command);
    if (options_.fault == ForgeFault::kForgetfulStop && stop &&
        !agent.running().contains(stop->job)) {
      replies.push_back(
          Ended{stop->node, stop->incarnation, stop->job, stop->epoch, Outcome::kKilled});
    } else {
      agent.receive(now_, letter.command, replies);
    }
    send(letter.node, replies);
    fail_if(check_agents(fleet_, agents_, truth_));
  }

  void send(NodeId node, const std::vector<Event>& events) {
    for (const Event& event : events) post(to_scheduler_, event, node);
  }

  // Workers run on their node's own time; a gang ends when each of its nodes has done its part.
  void run_agent(NodeId node) {
    if (!alive(node)) return;
    Agent& agent = agents_[static_cast<size_t>(node)];
    std::vector<Event> out;
    std::vector<std::pair<JobId, Outcome>> exits;
    std::map<JobId, std::pair<Epoch, Millis>>& progress = progress_[node];
    for (const auto& [job, work] : agent.running()) {
      auto& [epoch, ran] = progress[job];
      if (epoch != work.epoch) epoch = work.epoch, ran = 0;
      ran += kStep;
      if (ran > truth_.specs[static_cast<size_t>(job)].expected)
        exits.emplace_back(job, Outcome::kSucceeded);
      else if (storm() && random_.chance(0.0005))
        exits.emplace_back(job, Outcome::kFailed);
    }
    for (const auto& [job, outcome] : exits) agent.exited(job, outcome, out);
    if (options_.fault == ForgeFault::kNoLease) {
      agent.receive(now_, Lease{node, agent.incarnation(), now_}, out);
      out.push_back(Joined{node, agent.incarnation()});
    }
    agent.advance(now_, out);
    send(node, out);
  }

  bool over(const Job& job) const {
    if (job.over()) return true;
    return job.state == JobState::kQueued && job.why.reason == Reason::kNoSuchPlace;
  }
  bool barred(const Job& job) const {
    return job.state == JobState::kQueued && job.why.reason == Reason::kOverQuota;
  }
  bool all_over() {
    for (const Job& job : scheduler_->jobs()) truth_.done[static_cast<size_t>(job.id)] = job.over();
    const auto running = [](const Job& job) {
      return !job.over() && job.state != JobState::kQueued;
    };
    const std::vector<Job>& jobs = scheduler_->jobs();
    const bool busy = std::any_of(jobs.begin(), jobs.end(), running);
    // What its limits never let run may wait; everything else must end.
    return std::all_of(jobs.begin(), jobs.end(),
                       [&](const Job& job) { return over(job) || (!busy && barred(job)); });
  }
  std::string unfinished() const {
    std::string text;
    for (const Job& job : scheduler_->jobs()) {
      if (!over(job))
        text += fmt::format(" {} (state {}, reason {})", job.id, static_cast<int>(job.state),
                            static_cast<int>(job.why.reason));
    }
    return text;
  }

  ForgeHistoryOptions options_;
  Random random_;
  FleetSpec fleet_;
  const Policy* policy_;
  LeaseTerms terms_;
  ForgeHistoryReport report_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<Agent> agents_;
  std::vector<Millis> parted_until_;
  std::vector<Millis> dead_until_;
  std::map<NodeId, std::map<JobId, std::pair<Epoch, Millis>>> progress_;
  ForgeTruth truth_;
  std::vector<std::pair<Millis, Event>> journal_;
  std::multimap<Millis, ToAgent> to_agents_;
  std::multimap<Millis, Event> to_scheduler_;
  Millis now_ = 0;
  double loss_ = 0;
  double copies_ = 0;
  Millis slowest_ = kStep;
  int32_t jobs_left_ = 0;
};

}  // namespace

ForgeHistoryReport run_forge_history(const ForgeHistoryOptions& options) {
  return History(options).run();
}

ForgeHistoryReport run_forge_histories(ForgeHistoryOptions options, int64_t count) {
  ForgeHistoryReport total;
  for (int64_t i = 0; i < count && total.ok(); ++i, ++options.seed) {
    const ForgeHistoryReport one = run_forge_history(options);
    total.seed = one.seed;
    total.failure = one.failure;
    total.events += one.events;
    total.jobs += one.jobs;
    total.succeeded += one.succeeded;
    total.starts += one.starts;
    total.preemptions += one.preemptions;
    total.nodes_lost += one.nodes_lost;
    total.restarts += one.restarts;
  }
  return total;
}

}  // namespace hearth::sim
