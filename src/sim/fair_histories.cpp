#include "sim/fair_histories.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <vector>

#include "engine/scheduler.h"
#include "sim/draw.h"

namespace hearth::sim {
namespace {

using engine::Cost;
using engine::DeploymentId;
using engine::RequestId;
using engine::ServiceClass;

constexpr int32_t kSteps = 600;
constexpr int32_t kLongestPrompt = 60;

struct Tenant {
  ServiceClass service_class = ServiceClass::kProvisioned;
  Cost rate = 0;
  int32_t longest_prompt = 0;
  int32_t longest_answer = 0;
  bool on = false;
  int32_t waiting = 0;
  double served = 0;  // seconds at its rate, since it went on
};

// Two tenants that are both on.
struct Pair {
  double least = 0;
  double most = 0;
};

struct Asked {
  size_t tenant = 0;
  int32_t prompt = 0;
  int32_t generated = 0;
  bool scheduled = false;
};

class FairHistory {
 public:
  FairHistory(uint64_t seed, FairFault fault)
      : seed_(seed),
        fault_(fault),
        random_(seed),
        lower_classes_(random_.chance(0.6)),
        prices_(make_prices()),
        scheduler_(make_config()) {
    for (int32_t i = draw(random_, 2, 5); i > 0; --i) add_tenant(ServiceClass::kProvisioned);
    if (!lower_classes_) return;
    if (random_.chance(0.6)) add_tenant(ServiceClass::kStandard);
    if (random_.chance(0.6)) add_tenant(ServiceClass::kBatch);
  }

  void run(FairReport& report) {
    for (int32_t i = 0; i < kSteps && failure_.empty(); ++i) {
      change_something();
      top_up();
      step();
    }
    for (const auto& [which, pair] : pairs_) close(which, pair);
    report.failure = failure_;
    report.stretches += stretches_;
    report.closest = std::max(report.closest, closest_);
  }

 private:
  engine::TokenPrices make_prices() {
    engine::TokenPrices prices;
    prices.generated = random_.between(1, 8) * engine::kCostPerUnit;
    prices.prompt_context = random_.between(0, 20'000);
    prices.context = random_.between(0, 50'000);
    return prices;
  }

  // One lane and no overtaking: what the theorem speaks of. Memory is short in some, and not where
  // a lower class could rightly use a rest of it that is too small for those above.
  engine::EngineConfig make_config() {
    engine::EngineConfig config;
    config.max_num_seqs = draw(random_, 1, 6);
    config.max_num_batched_tokens = config.max_num_seqs + draw(random_, 4, 120);
    config.max_num_partial_prefills = config.max_num_seqs;
    config.max_long_partial_prefills = config.max_num_seqs;
    config.num_blocks = lower_classes_ ? 6 * config.max_num_seqs + 6 : draw(random_, 6, 60);
    config.max_model_len = 90;
    config.max_overtaken = 0;
    config.prefix_caching = false;
    config.prices = prices_;
    if (fault_ == FairFault::kFreeTokens) config.prices.generated = config.prices.context = 0;
    if (fault_ == FairFault::kFreePrompts) {
      config.prices.prompt = config.prices.prompt_context = 0;
    }
    return config;
  }

  void add_tenant(ServiceClass service_class) {
    Tenant& tenant = tenants_.emplace_back();
    tenant.service_class = service_class;
    tenant.longest_prompt = draw(random_, 1, kLongestPrompt);
    tenant.longest_answer = draw(random_, 1, 24);
    set_rate(tenants_.size() - 1);
  }

  void set_rate(size_t index) {
    const bool first = tenants_[index].rate == 0;
    tenants_[index].rate = random_.between(1, 1000) * 1'000'000;
    if (fault_ == FairFault::kLateRate && !first) return;
    if (tenants_[index].service_class != ServiceClass::kProvisioned) return;
    const Cost told = fault_ == FairFault::kIgnoredRates ? 1'000'000'000 : tenants_[index].rate;
    scheduler_.set_deployment(line_of(index), told);
  }

  DeploymentId line_of(size_t index) const {
    return fault_ == FairFault::kOneLine ? 1 : static_cast<DeploymentId>(index) + 1;
  }

  // Tenants come, go, and buy more or less.
  void change_something() {
    for (size_t i = 0; i < tenants_.size(); ++i) {
      Tenant& tenant = tenants_[i];
      const bool rarely = random_.chance(0.01);
      if (tenant.on && (rarely || random_.chance(0.003))) {
        end_stretches(i);
        if (rarely) {
          set_rate(i);
        } else {
          tenant.on = false;
        }
      } else if (!tenant.on && random_.chance(0.2)) {
        tenant.on = true;
      }
    }
  }

  // Nobody's line empties within a step.
  void top_up() {
    for (size_t i = 0; i < tenants_.size(); ++i) {
      while (tenants_[i].on && tenants_[i].waiting <= scheduler_.config().max_num_seqs) ask(i);
    }
    for (size_t a = 0; a < tenants_.size(); ++a) {
      for (size_t b = a + 1; b < tenants_.size(); ++b) {
        if (!compared(a) || !compared(b)) continue;
        const double difference = tenants_[a].served - tenants_[b].served;
        pairs_.try_emplace({a, b}, Pair{difference, difference});
      }
    }
  }

  bool compared(size_t index) const {
    return tenants_[index].on && tenants_[index].service_class == ServiceClass::kProvisioned;
  }

  void ask(size_t index) {
    Tenant& tenant = tenants_[index];
    engine::Request request;
    request.id = ++last_id_;
    request.prompt.assign(static_cast<size_t>(draw(random_, 1, tenant.longest_prompt)), 1);
    request.max_tokens = draw(random_, 1, tenant.longest_answer);
    request.service_class = tenant.service_class;
    if (fault_ == FairFault::kForgottenClass && request.service_class == ServiceClass::kBatch) {
      request.service_class = ServiceClass::kStandard;
    }
    request.deployment = line_of(index);
    asked_[request.id] = {index, static_cast<int32_t>(request.prompt.size()), 0, false};
    const bool accepted = scheduler_.add(std::move(request), now_).accepted();
    if (!accepted) return fail("a request was refused");
    ++tenant.waiting;
  }

  void step() {
    const engine::StepPlan& plan = scheduler_.plan(now_);
    if (plan.empty()) return;
    engine::StepResult result;
    for (const engine::StepSequence& step : plan.sequences) {
      start(step);
      engine::SequenceResult& one = result.sequences.emplace_back();
      if (step.want == engine::Want::kToken) one.sampled.emplace_back();
    }
    check_classes(plan);
    now_ += kMillisecond;
    for (const engine::Output& output : scheduler_.commit(result, now_)) hear(output);
    compare();
  }

  void start(const engine::StepSequence& step) {
    Asked& asked = asked_.at(step.request);
    if (std::exchange(asked.scheduled, true)) return;
    --tenants_[asked.tenant].waiting;
    serve(asked.tenant, prices_.of_prompt(0, asked.prompt, engine::kBaseModel));
  }

  void hear(const engine::Output& output) {
    Asked& asked = asked_.at(output.request);
    const auto count = static_cast<int32_t>(output.tokens.size());
    serve(asked.tenant,
          prices_.of_tokens(asked.prompt + asked.generated, count, engine::kBaseModel));
    asked.generated += count;
    if (output.request_done) asked_.erase(output.request);
  }

  void serve(size_t index, Cost cost) {
    tenants_[index].served += seconds_of(cost, tenants_[index].rate);
  }

  static double seconds_of(Cost cost, Cost rate) {
    return static_cast<double>(cost) * 60 / static_cast<double>(rate);
  }

  // A prompt of a lower class may go on only in what nobody above could use.
  void check_classes(const engine::StepPlan& plan) {
    std::array<bool, 3> waits{};
    for (const Tenant& tenant : tenants_) {
      if (tenant.waiting > 0) waits[static_cast<size_t>(tenant.service_class)] = true;
    }
    for (const engine::StepSequence& step : plan.sequences) {
      const Asked& asked = asked_.at(step.request);
      const auto own = static_cast<size_t>(tenants_[asked.tenant].service_class);
      const bool prompt = step.computed < asked.prompt;
      const bool above = (own > 0 && waits[0]) || (own > 1 && waits[1]);
      if (prompt && above) {
        fail(fmt::format("request {} of class {} is computed while one above waits", step.request,
                         own));
      }
    }
  }

  void compare() {
    for (auto& [which, pair] : pairs_) {
      const double difference = tenants_[which.first].served - tenants_[which.second].served;
      pair.least = std::min(pair.least, difference);
      pair.most = std::max(pair.most, difference);
    }
  }

  // The most that a tenant is served between two of its turns.
  double turn(const Tenant& tenant) const {
    const Cost prompt = prices_.of_prompt(0, tenant.longest_prompt, engine::kBaseModel);
    const Cost answer =
        prices_.of_tokens(tenant.longest_prompt, tenant.longest_answer, engine::kBaseModel);
    return seconds_of(prompt + scheduler_.config().max_num_seqs * answer, tenant.rate);
  }

  void end_stretches(size_t index) {
    for (auto at = pairs_.begin(); at != pairs_.end();) {
      const bool its = at->first.first == index || at->first.second == index;
      if (its) close(at->first, at->second);
      at = its ? pairs_.erase(at) : std::next(at);
    }
  }

  void close(const std::pair<size_t, size_t>& which, const Pair& pair) {
    ++stretches_;
    const double bound = 2 * std::max(turn(tenants_[which.first]), turn(tenants_[which.second]));
    const double share = (pair.most - pair.least) / bound;
    closest_ = std::max(closest_, share);
    if (share <= 1) return;
    fail(
        fmt::format("tenants {} and {} differ by {:.3f} s of what they bought, the bound is {:.3f}",
                    which.first, which.second, pair.most - pair.least, bound));
  }

  void fail(const std::string& what) {
    if (failure_.empty()) failure_ = fmt::format("seed {}: {}", seed_, what);
  }

  const uint64_t seed_;
  const FairFault fault_;
  Random random_;
  const bool lower_classes_;
  const engine::TokenPrices prices_;
  engine::Scheduler scheduler_;
  std::vector<Tenant> tenants_;
  std::map<RequestId, Asked> asked_;
  std::map<std::pair<size_t, size_t>, Pair> pairs_;
  RequestId last_id_ = 0;
  Nanos now_ = 0;
  int64_t stretches_ = 0;
  double closest_ = 0;
  std::string failure_;
};

}  // namespace

const char* to_string(FairFault fault) {
  switch (fault) {
    case FairFault::kNone:
      return "none";
    case FairFault::kIgnoredRates:
      return "ignored-rates";
    case FairFault::kFreeTokens:
      return "free-tokens";
    case FairFault::kFreePrompts:
      return "free-prompts";
    case FairFault::kOneLine:
      return "one-line";
    case FairFault::kLateRate:
      return "late-rate";
    case FairFault::kForgottenClass:
      return "forgotten-class";
  }
  return "unknown";
}

std::span<const FairFault> all_fair_faults() {
  static constexpr std::array kAll = {FairFault::kIgnoredRates, FairFault::kFreeTokens,
                                      FairFault::kFreePrompts,  FairFault::kOneLine,
                                      FairFault::kLateRate,     FairFault::kForgottenClass};
  return kAll;
}

FairReport run_fair_histories(uint64_t seed, int64_t count, FairFault fault) {
  FairReport report;
  for (; report.histories < count && report.ok(); ++report.histories, ++seed) {
    FairHistory(seed, fault).run(report);
  }
  return report;
}

}  // namespace hearth::sim
