#include "sim/forge_histories.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "forge/agent/host.h"
#include "forge/codec/messages.h"
#include "forge/server/control.h"
#include "sim/forge_hands.h"
#include "sim/forge_laws.h"
#include "sim/forge_memory_store.h"

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
  if (random.chance(0.2))
    fleet.virtual_clusters[1].budget = random.between(10'000, 10 * kLongestJob);
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
  if (random.chance(0.2)) job.locality = Locality::kNode;
  if (random.chance(0.5)) job.spot = Spot::kAllowed;
  if (random.chance(0.2)) job.type = JobType::kInference;
  if (random.chance(0.2)) job.deadline = random.between(1'000, 4 * kLongestJob);
  if (random.chance(0.1)) job.budget = random.between(1'000, 4 * kLongestJob);
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

class ForgeHistory {
 public:
  explicit ForgeHistory(const ForgeHistoryOptions& options)
      : options_(options),
        random_(split_mix(options.seed)),
        fleet_(random_fleet(random_)),
        policy_(options.policy ? options.policy : &policies()[random_.below(policies().size())]),
        store_(fleet_) {
    report_.seed = options.seed;
    const bool no_fence = options.fault == ForgeFault::kNoLease;
    for (size_t n = 0; n < fleet_.nodes.size(); ++n) {
      machines_.push_back({.hands = std::make_unique<SimulatedHands>(SimulatedHands::Options{
                               .seed = random_.next(),
                               .ignore_fence = no_fence,
                               .stops_at_once = options.fault == ForgeFault::kEarlyFree})});
      start_agent(static_cast<NodeId>(n));
    }
    start_server();
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
    for (const Job& job : scheduler().jobs()) {
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
  // A node: its hands, which live as long as the machine is on, and the agent's program.
  struct Machine {
    std::unique_ptr<SimulatedHands> hands;
    std::unique_ptr<AgentHost> agent;  // null: not running
    Millis parted_until = 0;
    Millis off_until = 0;
    Millis agent_back_at = 0;
  };
  // Messages travel as the bytes that the real ones are.
  struct Letter {
    NodeId node;
    std::string bytes;
  };

  bool storm() const { return now_ < kStorm; }
  const Scheduler& scheduler() const { return control_->scheduler(); }
  Machine& machine(NodeId node) { return machines_[static_cast<size_t>(node)]; }
  bool reachable(NodeId node) { return now_ >= machine(node).parted_until; }
  void fail(std::string text) {
    if (report_.failure.empty()) report_.failure = std::move(text);
  }

  void step() {
    storm() ? misfortune() : see_to_repairs();
    submit_some();
    deliver();
    feed({});
    for (size_t n = 0; n < machines_.size(); ++n) run_machine(static_cast<NodeId>(n));
  }

  void misfortune() {
    for (size_t n = 0; n < machines_.size(); ++n) {
      if (random_.chance(0.002)) machines_[n].parted_until = now_ + random_.between(1, 90'000);
      if (random_.chance(0.001)) power_off(machines_[n]);
      if (random_.chance(0.002)) kill_agent(machines_[n]);
      if (random_.chance(0.002)) machines_[n].hands->fill_disk(now_ + random_.between(1, 90'000));
    }
    if (random_.chance(0.004)) restart_server();
    if (random_.chance(0.002)) depose_server();
    if (random_.chance(0.003)) feed({Drain{some_node()}});
    if (random_.chance(0.01)) feed({Undrain{some_node()}});
    if (!truth_.specs.empty())
      trouble_a_job(static_cast<JobId>(random_.below(truth_.specs.size())));
    if (now_ + kStep >= kStorm) {
      for (size_t n = 0; n < machines_.size(); ++n) feed({Undrain{static_cast<NodeId>(n)}});
    }
  }

  // What is for a person to repair is repaired once the storm is over.
  void see_to_repairs() {
    for (size_t n = 0; n < machines_.size(); ++n) {
      const auto node = static_cast<NodeId>(n);
      if (scheduler().node_image(node).health.state == Health::kRepair) feed({Undrain{node}});
    }
  }

  void trouble_a_job(JobId job) {
    if (random_.chance(0.003)) feed({Cancel{job}});
    const Job& told = scheduler().job(job);
    const bool leads = told.spec.type == JobType::kInference && told.spec.replica_of < 0;
    if (leads && random_.chance(0.005))
      feed({Scale{job, static_cast<int32_t>(random_.between(1, 3))}});
    // Sometimes about a run that has been over for long.
    if (random_.chance(0.003))
      feed({Restart{job, std::max<Epoch>(0, told.epoch - random_.between(0, 1))}});
    if (random_.chance(0.003)) {
      const auto low = static_cast<int32_t>(random_.between(1, 2));
      feed({Resize{job, low, low + static_cast<int32_t>(random_.below(3))}});
    }
    if (random_.chance(0.003)) {
      const auto cluster = static_cast<ClusterId>(random_.below(fleet_.clusters.size()));
      feed({Move{job, random_.chance(0.5) ? std::vector{cluster} : std::vector<ClusterId>{}}});
    }
  }

  NodeId some_node() { return static_cast<NodeId>(random_.below(machines_.size())); }

  // The machine goes, with all that runs on it.
  void power_off(Machine& machine) {
    machine.off_until = now_ + random_.between(1'000, 60'000);
    machine.agent_back_at = machine.off_until;
    machine.agent.reset();
    machine.hands->power_off();
    ++report_.nodes_lost;
  }

  // Only the agent's program goes; the workers run on.
  void kill_agent(Machine& machine) {
    if (!machine.agent) return;
    machine.agent.reset();
    machine.agent_back_at = now_ + random_.between(0, 60'000);
    ++report_.agents_lost;
  }

  void start_agent(NodeId node) {
    Machine& m = machine(node);
    m.hands->advance(now_);
    m.agent = std::make_unique<AgentHost>(node, incarnations_ += 1'000, *m.hands, terms_);
  }

  void start_server() {
    const bool presumes = options_.fault == ForgeFault::kLateLease;
    auto fence = std::make_unique<FencedStore>(
        store_, presumes ? FencedStore::Care::kPresumes : FencedStore::Care::kAsks);
    control_ = std::make_unique<Control>(*fence, fleet_, *policy_, terms_, now_);
    fence_ = std::move(fence);
  }

  // Another server decides from now on, and the one before does not know it. Some agents do not
  // either: they go on with that one until it gives up.
  void depose_server() {
    ++report_.deposed;
    fence_->depose();
    old_fence_ = std::move(fence_), old_control_ = std::move(control_);
    misled_.clear();
    for (size_t n = 0; n < machines_.size(); ++n) {
      if (random_.chance(0.5)) misled_.insert(static_cast<NodeId>(n));
    }
    try {
      start_server();
    } catch (const Error& error) {
      control_ = std::move(old_control_), fence_ = std::move(old_fence_);
      return fail(error.what());
    }
    if (scheduler().fingerprint() != old_control_->scheduler().fingerprint())
      fail("the next server finds another state");
    feed({});
  }

  void feed_deposed(const std::vector<Event>& events) {
    std::vector<Request> requests;
    for (const Event& event : events) requests.push_back({event, {}});
    std::vector<Command> commands;
    try {
      old_control_->turn(now_, std::move(requests), commands);
    } catch (const Error&) {
      // It knows now.
      old_control_.reset(), old_fence_.reset();
      return misled_.clear();
    }
    for (const Command& command : commands) {
      const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
      if (misled_.contains(node)) post(to_agents_, {node, codec::encode_command(command)});
    }
  }

  void restart_server() {
    ++report_.restarts;
    const uint64_t before = scheduler().fingerprint();
    const bool early = options_.fault == ForgeFault::kEarlyWord;
    if (early) store_.undo_last_commit();
    try {
      start_server();
    } catch (const Error& error) {
      return fail(error.what());
    }
    if (!early && scheduler().fingerprint() != before) fail("the store gives another state");
    feed({});
  }

  void submit_some() {
    if (jobs_left_ == 0 || !random_.chance(0.1)) return;
    --jobs_left_;
    const JobSpec spec = random_job(random_, fleet_);
    truth_.specs.push_back(spec);
    truth_.done.push_back(false);
    Submit submit{spec};
    if (options_.fault == ForgeFault::kWrongRegion) submit.spec.regions.clear();
    feed({submit});
  }

  // One turn of the server.
  void feed(const std::vector<Event>& events) {
    report_.events += static_cast<int64_t>(events.size());
    std::vector<Request> requests;
    for (const Event& event : events) requests.push_back({event, {}});
    if (options_.fault == ForgeFault::kLostRows && storm() && random_.chance(0.01))
      store_.lose_next_row();
    std::vector<Command> commands;
    control_->turn(now_, std::move(requests), commands);
    note_replicas();
    for (const Command& command : commands) {
      const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
      post(to_agents_, {node, codec::encode_command(command)});
    }
    fail_if(check_books(scheduler(), truth_));
    check_hands();
    if (std::string_view(policy_->name).starts_with("hearth"))
      fail_if(check_guarantees(scheduler()));
  }

  // What an owner asks of a deployment holds for its replicas.
  void note_replicas() {
    for (size_t id = truth_.specs.size(); id < scheduler().jobs().size(); ++id) {
      const JobId leader = scheduler().jobs()[id].spec.replica_of;
      if (leader < 0) return;
      truth_.specs.push_back(truth_.specs[static_cast<size_t>(leader)]);
      truth_.done.push_back(false);
    }
  }

  void check_hands() {
    std::vector<const SimulatedHands*> hands;
    for (const Machine& machine : machines_) hands.push_back(machine.hands.get());
    fail_if(check_workers(fleet_, hands, truth_));
  }

  void fail_if(const std::string& broken) {
    if (!broken.empty()) fail(broken);
  }

  void post(std::multimap<Millis, Letter>& queue, const Letter& letter) {
    const int copies = 1 + (storm() && random_.chance(copies_));
    for (int i = 0; i < copies; ++i) {
      if (storm() && (random_.chance(loss_) || !reachable(letter.node))) continue;
      queue.emplace(now_ + (storm() ? random_.between(0, slowest_) : 0), letter);
    }
  }

  void deliver() {
    while (!to_agents_.empty() && to_agents_.begin()->first <= now_) {
      const Letter letter = to_agents_.begin()->second;
      to_agents_.erase(to_agents_.begin());
      if (!machine(letter.node).agent || !reachable(letter.node)) continue;
      hand_over(letter.node, codec::decode_command(letter.bytes));
      send(letter.node);
      check_hands();
    }
    // What arrived together is one turn.
    std::vector<Event> events, misled;
    while (!to_server_.empty() && to_server_.begin()->first <= now_) {
      const bool astray = misled_.contains(to_server_.begin()->second.node);
      for (Event& event : codec::decode_events(to_server_.begin()->second.bytes)) {
        if (options_.fault == ForgeFault::kStaleEpoch) {
          if (auto* ended = std::get_if<Ended>(&event))
            ended->epoch = scheduler().job(ended->job).epoch;
        }
        (astray ? misled : events).push_back(std::move(event));
      }
      to_server_.erase(to_server_.begin());
    }
    if (!events.empty()) feed(events);
    if (old_control_) feed_deposed(misled);
  }

  void hand_over(NodeId node, const Command& command) {
    AgentHost& agent = *machine(node).agent;
    const auto* stop = std::get_if<Stop>(&command);
    const bool idle = stop && !agent.agent().running().contains(stop->job);
    if (options_.fault != ForgeFault::kForgetfulStop || !idle) return agent.receive(now_, command);
    post(to_server_, {node, codec::encode_events({Ended{stop->node, stop->incarnation, stop->job,
                                                        stop->epoch, Outcome::kKilled}})});
  }

  void send(NodeId node) {
    const std::vector<Event> events = machine(node).agent->take_events();
    if (!events.empty()) post(to_server_, {node, codec::encode_events(events)});
  }

  // Workers run on their node's own time; a gang ends when each of its nodes has done its part.
  void run_machine(NodeId node) {
    Machine& m = machine(node);
    if (now_ < m.off_until) return;
    for (const Worker& worker : m.hands->workers()) {
      const bool done =
          m.hands->ran(worker, kStep) > truth_.specs[static_cast<size_t>(worker.job)].expected;
      if (done) {
        m.hands->exit(worker, Outcome::kSucceeded);
      } else if (storm() && random_.chance(0.0005)) {
        m.hands->exit(worker, Outcome::kFailed);
      }
    }
    m.hands->advance(now_);
    check_hands();
    if (!m.agent && now_ >= m.agent_back_at) start_agent(node);
    if (!m.agent) return;
    report_health(node);
    if (options_.fault == ForgeFault::kNoLease)
      m.agent->receive(now_, Lease{node, m.agent->agent().incarnation(), now_});
    m.agent->advance(now_);
    send(node);
  }

  // After the storm every check is good, so every node comes back.
  void report_health(NodeId node) {
    if (!random_.chance(0.02)) return;
    const bool good = !storm() || !random_.chance(0.3);
    Checked round{node, machine(node).agent->agent().incarnation(), {{"disk", good, "read"}}, {}};
    const auto peer = static_cast<NodeId>(random_.below(machines_.size()));
    const bool bad_link = storm() && random_.chance(0.3);
    if (peer != node) round.links.push_back({peer, !bad_link, "slow"});
    post(to_server_, {node, codec::encode_events({round})});
  }

  bool over(const Job& job) const {
    if (job.over()) return true;
    return job.state == JobState::kQueued && job.why.reason == Reason::kNoSuchPlace;
  }
  bool barred(const Job& job) const {
    return job.state == JobState::kQueued &&
           (job.why.reason == Reason::kOverQuota || scheduler().budget_used_up(job.spec.vc));
  }
  bool all_over() {
    for (const Job& job : scheduler().jobs()) truth_.done[static_cast<size_t>(job.id)] = job.over();
    const auto running = [](const Job& job) {
      return !job.over() && job.state != JobState::kQueued;
    };
    const std::vector<Job>& jobs = scheduler().jobs();
    const bool busy = std::any_of(jobs.begin(), jobs.end(), running);
    // What its limits never let run may wait; everything else must end.
    return std::all_of(jobs.begin(), jobs.end(),
                       [&](const Job& job) { return over(job) || (!busy && barred(job)); });
  }
  std::string unfinished() const {
    std::string text;
    for (const Job& job : scheduler().jobs()) {
      if (!over(job))
        text += fmt::format(" {} (state {}, reason {})", job.id, static_cast<int>(job.state),
                            static_cast<int>(job.why.reason));
    }
    for (size_t n = 0; n < fleet_.nodes.size(); ++n) {
      const NodeImage node = scheduler().node_image(static_cast<NodeId>(n));
      if (!node.up || !node.open || node.health.out())
        text += fmt::format("; node {} is {}, {}, {}", n, node.up ? "up" : "away",
                            node.open ? "open" : "drained", to_string(node.health.state));
    }
    return text;
  }

  ForgeHistoryOptions options_;
  Random random_;
  FleetSpec fleet_;
  const Policy* policy_;
  LeaseTerms terms_;
  ForgeHistoryReport report_;
  MemoryStore store_;
  std::unique_ptr<FencedStore> fence_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<FencedStore> old_fence_;
  std::unique_ptr<Control> old_control_;  // deposed, and does not know it yet
  std::set<NodeId> misled_;               // who speak to that one
  std::vector<Machine> machines_;
  Incarnation incarnations_ = 0;  // of fresh agents, as a wall clock gives them: with gaps
  ForgeTruth truth_;
  std::multimap<Millis, Letter> to_agents_;
  std::multimap<Millis, Letter> to_server_;
  Millis now_ = 0;
  double loss_ = 0;
  double copies_ = 0;
  Millis slowest_ = kStep;
  int32_t jobs_left_ = 0;
};

}  // namespace

ForgeHistoryReport run_forge_history(const ForgeHistoryOptions& options) {
  return ForgeHistory(options).run();
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
    total.agents_lost += one.agents_lost;
    total.restarts += one.restarts;
    total.deposed += one.deposed;
  }
  return total;
}

}  // namespace hearth::sim
