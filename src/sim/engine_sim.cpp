#include "sim/engine_sim.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "base/random.h"
#include "engine/scheduler.h"
#include "sim/engine_checker.h"
#include "sim/engine_workload.h"

namespace hearth::sim {
namespace {

using engine::FinishReason;
using engine::Output;
using engine::RequestId;

constexpr double kAbandoned = 0.3;  // of the steps that may be

// What a client has heard of one choice.
struct Heard {
  FakeAnswer answer;
  bool stopped = false;  // by the server, for a stop string
};

struct Client {
  const SimRequest* sim = nullptr;
  std::vector<Heard> choices;
  bool scheduled = false;
  bool gone = false;
  bool unserved = false;  // its adapter could not be loaded
  bool done = false;
};

FakeAnswer answer_of(const SimRequest& sim, int32_t choice, const engine::EngineConfig& config) {
  const auto constraint = make_constraint(sim, choice);
  return answer_alone(sim.request, sim.fake, choice,
                      engine::choice_seed(sim.request.sampling.seed, choice),
                      engine::max_length(sim.request, config), constraint.get());
}

// Knows the answers, and errs now and then.
class LeakyDrafter final : public engine::Drafter {
 public:
  LeakyDrafter(const Workload& workload, uint64_t seed) : workload_(workload), dice_(seed) {}

  int32_t unread(const engine::GuessOrder& order) const override {
    return static_cast<int32_t>(order.tokens.size() % 100);
  }

  // Some texts have to be read first, and some of those are not ready in this step.
  int32_t guess(std::span<const engine::GuessOrder> orders) override {
    int32_t read = 0;
    for (const engine::GuessOrder& order : orders) {
      dice_ = split_mix(dice_);
      if (dice_ % 8 == 0) read += unread(order);
      if (dice_ % 16 != 0) guess(order);
    }
    return read;
  }

 private:
  void guess(const engine::GuessOrder& order) {
    const SimRequest& sim = workload_.requests[static_cast<size_t>(order.request) - 1];
    const auto [found, first] = answers_.try_emplace({order.request, order.choice});
    if (first) found->second = answer_of(sim, order.choice, workload_.config).tokens;
    const std::vector<engine::TokenId>& answer = found->second;
    size_t at = order.tokens.size() - sim.request.prompt.size();
    for (int32_t i = 0; i < order.most; ++i, ++at) {
      dice_ = split_mix(dice_);
      const bool right = at < answer.size() && dice_ % 4 != 0;
      order.guess->push_back(right ? answer[at] : engine::TokenId{7});
    }
  }

  const Workload& workload_;
  uint64_t dice_;
  std::map<std::pair<RequestId, int32_t>, std::vector<engine::TokenId>> answers_;
};

class History {
 public:
  explicit History(const EngineSimOptions& options)
      : options_(options),
        random_(options.seed),
        workload_(make_workload(random_)),
        drafter_(workload_, options.seed),
        scheduler_(workload_.config, nullptr, &drafter_),
        runner_(
            workload_.config,
            [this](RequestId id) -> const FakeRequest& { return clients_.at(id).sim->fake; },
            options.fault, random_.next()),
        checker_(scheduler_) {
    report_.seed = options.seed;
    for (const SimAdapter& adapter : workload_.adapters) {
      scheduler_.add_adapter(adapter.id, adapter.pages);
    }
    for (size_t i = 0; i < workload_.deployments.size(); ++i) {
      scheduler_.set_deployment(static_cast<engine::DeploymentId>(i) + 1, workload_.deployments[i]);
    }
    removed_.resize(workload_.adapters.size());
    for (const SimRequest& sim : workload_.requests) {
      work_ += 2 + static_cast<int64_t>(sim.request.prompt.size()) +
               int64_t{sim.request.choices} * workload_.config.max_model_len;
    }
  }

  EngineSimReport run() {
    while (report_.ok() && (scheduler_.busy() || next_arrival_ < workload_.requests.size())) {
      deliver_events();
      if (report_.ok()) step();
    }
    if (report_.ok()) check_end();
    report_.stats = scheduler_.stats();
    report_.duration = now_;
    report_.requests = static_cast<int32_t>(workload_.requests.size());
    return report_;
  }

 private:
  void fail(std::string what) {
    if (!report_.ok() || what.empty()) return;
    report_.failure = fmt::format("seed {} step {}: {}", options_.seed, steps_, what);
  }

  void deliver_events() {
    finish_loads();
    remove_adapters();
    if (!scheduler_.busy() && next_arrival_ < workload_.requests.size()) {
      now_ = std::max(now_, workload_.requests[next_arrival_].arrival);
    }
    while (next_arrival_ < workload_.requests.size() &&
           workload_.requests[next_arrival_].arrival <= now_) {
      arrive(workload_.requests[next_arrival_++]);
    }
    leave();
  }

  void arrive(const SimRequest& sim) {
    engine::Request request = sim.request;
    if (sim.constraint_length > 0) {
      for (int32_t i = 0; i < request.choices; ++i) {
        request.constraints.push_back(make_constraint(sim, i));
      }
    }
    if (options_.fault == Fault::kIgnoredSalt) request.cache_salt = 0;
    const engine::Admission admission = scheduler_.add(std::move(request), now_);
    if (!is_served(sim.request.adapter) && admission.accepted()) {
      fail(fmt::format("request {} is accepted for a removed adapter", sim.request.id));
    }
    if (!admission.accepted()) {
      ++report_.refused;
      if (admission.reason.empty()) fail("a request was refused without a reason");
      return;
    }
    Client& client = clients_[sim.request.id];
    client.sim = &sim;
    client.choices.resize(static_cast<size_t>(sim.request.choices));
  }

  bool is_served(engine::AdapterId adapter) const {
    return adapter == engine::kBaseModel || !removed_[static_cast<size_t>(adapter) - 1];
  }

  void remove_adapters() {
    for (const SimAdapter& adapter : workload_.adapters) {
      if (adapter.removed < 0 || adapter.removed > now_ || !is_served(adapter.id)) continue;
      removed_[static_cast<size_t>(adapter.id) - 1] = true;
      scheduler_.remove_adapter(adapter.id);
    }
  }

  void start_loads(const engine::StepPlan& plan) {
    for (const engine::AdapterOrder& order : plan.adapters) {
      if (order.kind != engine::AdapterOrder::Kind::kLoad) continue;
      const SimAdapter& adapter = workload_.adapters[static_cast<size_t>(order.adapter) - 1];
      loads_.emplace(now_ + adapter.load_time, order.adapter);
      work_ += 2;
    }
  }

  // Also while a step is in flight.
  void finish_loads() {
    while (!loads_.empty() && loads_.begin()->first <= now_) {
      const engine::AdapterId id = loads_.begin()->second;
      loads_.erase(loads_.begin());
      if (!random_.chance(workload_.adapters[static_cast<size_t>(id) - 1].failure_rate)) {
        runner_.finish_load(id);
        scheduler_.adapter_loaded(id);
        continue;
      }
      runner_.fail_load(id);
      for (const Output& output : scheduler_.adapter_failed(id, "made to fail")) {
        clients_.at(output.request).unserved = true;
        hear(output);
      }
    }
  }

  // Nothing runs until an adapter is loaded or somebody comes.
  void idle() {
    Nanos next = loads_.begin()->first;
    if (next_arrival_ < workload_.requests.size()) {
      next = std::min(next, workload_.requests[next_arrival_].arrival);
    }
    now_ = std::max(now_, next);
  }

  // Clients go away at any time, also while a step is in flight.
  void leave() {
    for (auto& [id, client] : clients_) {
      if (client.gone || client.done || client.sim->leaves < 0 || client.sim->leaves > now_) {
        continue;
      }
      client.gone = true;
      if (options_.fault != Fault::kLostCancel) scheduler_.cancel(id);
    }
  }

  void step() {
    if (++steps_ > work_ + 100) return fail("requests are left and steps lead nowhere");
    const engine::StepPlan& plan = scheduler_.plan(now_);
    start_loads(plan);
    if (plan.sequences.empty() && scheduler_.stats().waiting > 0) {
      if (loads_.empty()) return fail("nothing is planned and requests wait");
      idle();
    }
    fail(checker_.check_plan(plan));
    check_order();
    if (!report_.ok() || plan.empty()) return;
    const engine::StepResult result =
        runner_.run_idle(plan, [&] { return plan.idle && random_.chance(kAbandoned); });
    fail(runner_.complaint());
    if (result.abandoned) ++work_;
    if (!plan.sequences.empty()) now_ += cost(plan);
    if (random_.chance(0.5)) leave();
    if (random_.chance(0.5)) finish_loads();
    const auto outputs = scheduler_.commit(result, now_);
    fail(checker_.check_blocks());
    for (const Output& output : outputs) hear(output);
  }

  // First come, first served among those of one deployment, priority and lane, but for those who
  // wait for another adapter.
  void check_order() {
    for (const engine::Sequence* sequence : scheduler_.running()) {
      const RequestId request = sequence->owner->request.id;
      Client& client = clients_.at(request);
      if (std::exchange(client.scheduled, true)) continue;
      for (const auto& [id, other] : clients_) {
        if (id >= request) break;
        if (other.scheduled || other.gone || other.done) continue;
        if (!same_line(*client.sim, *other.sim)) continue;
        fail(fmt::format("request {} starts before request {}", request, id));
      }
    }
  }

  bool same_line(const SimRequest& a, const SimRequest& b) const {
    const auto is_long = [&](const SimRequest& sim) {
      return std::ssize(sim.request.prompt) > workload_.config.long_prefill_token_threshold;
    };
    const bool one_adapter =
        b.request.adapter == engine::kBaseModel || a.request.adapter == b.request.adapter;
    const bool one_queue = a.request.service_class == b.request.service_class &&
                           a.request.deployment == b.request.deployment;
    return one_queue && a.request.priority == b.request.priority && is_long(a) == is_long(b) &&
           one_adapter;
  }

  static Nanos cost(const engine::StepPlan& plan) {
    Nanos cost = kMillisecond;
    for (const engine::StepSequence& sequence : plan.sequences) {
      const auto rows = sequence.count + static_cast<int32_t>(sequence.guess.size());
      cost += rows * 50 * kMicrosecond + sequence.computed * kMicrosecond;
    }
    return cost;
  }

  void hear(const Output& output) {
    Client& client = clients_.at(output.request);
    Heard& heard = client.choices[static_cast<size_t>(output.choice)];
    if (client.gone) return fail(fmt::format("request {} goes on after it left", output.request));
    if (heard.stopped || heard.answer.finish != FinishReason::kNone) {
      return fail(
          fmt::format("request {} choice {} goes on after its end", output.request, output.choice));
    }
    hear_prompt(output, heard);
    for (const engine::SampledToken& token : output.tokens) {
      heard.answer.tokens.push_back(token.token);
      heard.answer.logprobs.push_back(token.logprob);
    }
    heard.answer.pooled.assign(output.pooled.begin(), output.pooled.end());
    heard.answer.finish = output.finish;
    client.done |= output.request_done;
    report_.longest_wait =
        std::max(report_.longest_wait, output.timing.scheduled - output.timing.queued);
    check_usage(output, client, heard);
    stop_by_string(output, client, heard);
  }

  void hear_prompt(const Output& output, Heard& heard) {
    if (output.prompt.empty()) return;
    if (output.prompt_begin != std::ssize(heard.answer.prompt_logprobs) + 1) {
      fail(fmt::format("request {}: prompt logprobs come out of order", output.request));
    }
    for (const engine::SampledToken& token : output.prompt) {
      heard.answer.prompt_logprobs.push_back(token.logprob);
    }
  }

  void check_usage(const Output& output, const Client& client, const Heard& heard) {
    const bool right = output.usage.output_tokens == std::ssize(heard.answer.tokens) &&
                       output.usage.prompt_tokens == std::ssize(client.sim->request.prompt) &&
                       output.usage.cached_tokens < output.usage.prompt_tokens;
    if (!right) fail(fmt::format("request {}: wrong usage", output.request));
  }

  void stop_by_string(const Output& output, Client& client, Heard& heard) {
    const int32_t after = client.sim->stop_string_after;
    if (output.choice != 0 || after < 0 || std::ssize(heard.answer.tokens) < after) return;
    if (heard.answer.finish != FinishReason::kNone) return;
    heard.stopped = true;
    scheduler_.finish(output.request, 0, FinishReason::kStop);
  }

  void check_end() {
    for (const auto& [id, client] : clients_) {
      for (int32_t choice = 0; choice < client.sim->request.choices; ++choice) {
        check_answer(client, choice);
      }
    }
    const engine::Stats stats = scheduler_.stats();
    const bool quiet = stats.running == 0 && stats.waiting == 0 && stats.waiting_siblings == 0 &&
                       stats.queued_requests == 0 && stats.queued_tokens == 0 &&
                       stats.blocks_used == 0 && stats.adapters.used == 0;
    if (!quiet) fail("the engine is idle and its gauges are not at zero");
  }

  void check_answer(const Client& client, int32_t choice) {
    const engine::Request& request = client.sim->request;
    const Heard& heard = client.choices[static_cast<size_t>(choice)];
    const FakeAnswer alone = answer_of(*client.sim, choice, workload_.config);
    const bool cut = client.gone || heard.stopped || client.unserved;
    const auto same = [&](const auto& a, const auto& b) {
      return cut ? a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin()) : a == b;
    };
    const bool right =
        same(heard.answer.tokens, alone.tokens) && same(heard.answer.logprobs, alone.logprobs) &&
        same(heard.answer.prompt_logprobs, alone.prompt_logprobs) &&
        same(heard.answer.pooled, alone.pooled) && (cut || heard.answer.finish == alone.finish);
    if (right) return;
    fail(
        fmt::format("request {} choice {}: {} tokens, then {}; alone {} tokens, then {}; they "
                    "differ from token {} on",
                    request.id, choice, heard.answer.tokens.size(),
                    engine::to_string(heard.answer.finish), alone.tokens.size(),
                    engine::to_string(alone.finish), first_difference(heard.answer, alone)));
  }

  static std::ptrdiff_t first_difference(const FakeAnswer& a, const FakeAnswer& b) {
    const auto common = std::min(a.tokens.size(), b.tokens.size());
    const auto end = a.tokens.begin() + static_cast<std::ptrdiff_t>(common);
    return std::mismatch(a.tokens.begin(), end, b.tokens.begin()).first - a.tokens.begin();
  }

  const EngineSimOptions options_;
  Random random_;
  const Workload workload_;
  LeakyDrafter drafter_;
  engine::Scheduler scheduler_;
  FakeRunner runner_;
  EngineChecker checker_;
  std::vector<bool> removed_;                      // adapters
  std::multimap<Nanos, engine::AdapterId> loads_;  // in flight, by when they are done
  std::map<RequestId, Client> clients_;            // ids grow with arrival
  EngineSimReport report_;
  Nanos now_ = 0;
  size_t next_arrival_ = 0;
  int64_t steps_ = 0;
  int64_t work_ = 0;
};

}  // namespace

EngineSimReport run_engine_history(const EngineSimOptions& options) {
  return History(options).run();
}

namespace {

void add_counters(engine::Stats& totals, const engine::Stats& stats) {
  totals.steps += stats.steps;
  totals.steps_abandoned += stats.steps_abandoned;
  totals.step_tokens += stats.step_tokens;
  totals.prompt_tokens_computed += stats.prompt_tokens_computed;
  totals.prompt_tokens_cached += stats.prompt_tokens_cached;
  totals.tokens_recomputed += stats.tokens_recomputed;
  totals.generation_tokens += stats.generation_tokens;
  totals.tokens_guessed += stats.tokens_guessed;
  totals.tokens_guessed_right += stats.tokens_guessed_right;
  totals.preemptions += stats.preemptions;
  totals.evictions += stats.evictions;
  totals.block_copies += stats.block_copies;
  totals.adapters.loads += stats.adapters.loads;
  totals.adapters.load_failures += stats.adapters.load_failures;
  totals.adapters.hits += stats.adapters.hits;
  totals.adapters.misses += stats.adapters.misses;
  totals.adapters.evicted_for_room += stats.adapters.evicted_for_room;
  totals.adapters.evicted_by_unload += stats.adapters.evicted_by_unload;
  for (size_t i = 0; i < totals.finished.size(); ++i) totals.finished[i] += stats.finished[i];
  for (size_t i = 0; i < totals.admissions.size(); ++i) {
    totals.admissions[i] += stats.admissions[i];
  }
}

}  // namespace

EngineSimSummary run_engine_histories(EngineSimOptions options, int64_t count) {
  EngineSimSummary summary;
  for (; summary.histories < count && summary.ok(); ++options.seed) {
    const EngineSimReport report = run_engine_history(options);
    ++summary.histories;
    summary.failure = report.failure;
    summary.requests += report.requests;
    summary.refused += report.refused;
    summary.longest_wait = std::max(summary.longest_wait, report.longest_wait);
    add_counters(summary.totals, report.stats);
  }
  return summary;
}

}  // namespace hearth::sim
