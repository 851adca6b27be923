#include "sim/flywheel_house.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth::sim {
namespace {

constexpr double kMinute = 60;

double seconds(Nanos duration) { return static_cast<double>(duration) / kSecond; }

bool buys(const FlywheelTenant& tenant) {
  return tenant.service_class == engine::ServiceClass::kProvisioned;
}

}  // namespace

double quantile(std::vector<float> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<size_t>(at)];
}

FlywheelHouse::FlywheelHouse(const Parts& parts)
    : parts_(parts), scheduler_(parts.config), random_(parts.seed), taken_at_(parts.clock.now()) {}

size_t FlywheelHouse::add(const FlywheelTenant& tenant) {
  const size_t index = tenants_.size();
  const Nanos now = parts_.clock.now();
  tenants_.push_back({tenant, engine::RateBucket(tenant.rate, parts_.bucket_window, now)});
  if (buys(tenant)) {
    scheduler_.set_deployment(static_cast<engine::DeploymentId>(index) + 1, tenant.rate);
  }
  schedule_arrival(tenants_.back(), now);
  return index;
}

void FlywheelHouse::set_rate(size_t index, engine::Cost rate) {
  Tenant& tenant = tenants_.at(index);
  tenant.spec.rate = rate;
  tenant.bucket.set_rate(rate, parts_.clock.now());
  if (buys(tenant.spec)) {
    scheduler_.set_deployment(static_cast<engine::DeploymentId>(index) + 1, rate);
  }
}

void FlywheelHouse::set_load(size_t index, double load) {
  tenants_.at(index).spec.load = load;
  schedule_arrival(tenants_[index], parts_.clock.now());
}

void FlywheelHouse::run(Nanos duration) {
  const Nanos end = parts_.clock.now() + duration;
  while (parts_.clock.now() < end) {
    for (size_t i = 0; i < tenants_.size(); ++i) {
      while (tenants_[i].next_arrival <= parts_.clock.now()) arrive(i);
    }
    if (scheduler_.busy()) {
      step();
    } else {
      parts_.idle_until(std::min(next_arrival(), end));
    }
  }
}

Nanos FlywheelHouse::next_arrival() const {
  Nanos next = std::numeric_limits<Nanos>::max();
  for (const Tenant& tenant : tenants_) next = std::min(next, tenant.next_arrival);
  return next;
}

int32_t FlywheelHouse::length_around(int32_t mean) {
  const double factor = 1 + parts_.spread * (2 * random_.uniform() - 1);
  return std::max(static_cast<int32_t>(std::lround(mean * factor)), 1);
}

// Random arrivals at the tenant's load.
void FlywheelHouse::schedule_arrival(Tenant& tenant, Nanos from) {
  const FlywheelTenant& spec = tenant.spec;
  const engine::TokenPrices& prices = scheduler_.prices();
  const double cost = static_cast<double>(
      prices.of_prompt(0, spec.prompt_tokens, engine::kBaseModel) +
      prices.of_tokens(spec.prompt_tokens, spec.generated_tokens, engine::kBaseModel));
  const double per_second = spec.load * static_cast<double>(spec.rate) / kMinute / cost;
  tenant.next_arrival = per_second > 0
                            ? from + static_cast<Nanos>(random_.exponential() / per_second * 1e9)
                            : std::numeric_limits<Nanos>::max();
}

// The client names the longest answer it would take, as most do; it is corrected at the end.
void FlywheelHouse::arrive(size_t index) {
  Tenant& tenant = tenants_[index];
  const int32_t prompt = length_around(tenant.spec.prompt_tokens);
  const int32_t generated = length_around(tenant.spec.generated_tokens);
  const auto most =
      static_cast<int32_t>(std::lround(tenant.spec.generated_tokens * (1 + parts_.spread)));
  const engine::TokenPrices& prices = scheduler_.prices();
  const engine::Cost estimated = prices.of_prompt(0, prompt, engine::kBaseModel) +
                                 prices.of_tokens(prompt, most, engine::kBaseModel);
  schedule_arrival(tenant, tenant.next_arrival);
  if (buys(tenant.spec) && tenant.bucket.wait(parts_.clock.now()) > 0) {
    ++tenant.refused;
    return;
  }
  submit(index, prompt, generated, estimated);
}

void FlywheelHouse::submit(size_t index, int32_t prompt_tokens, int32_t generated_tokens,
                           engine::Cost estimated) {
  Tenant& tenant = tenants_[index];
  const Nanos now = parts_.clock.now();
  engine::Request request;
  request.id = ++last_id_;
  request.prompt.resize(static_cast<size_t>(prompt_tokens));
  for (engine::TokenId& token : request.prompt) {
    token = static_cast<engine::TokenId>(random_.below(static_cast<uint64_t>(parts_.vocabulary)));
  }
  request.max_tokens = generated_tokens;
  request.sampling.temperature = 0;
  request.service_class = tenant.spec.service_class;
  request.deployment =
      buys(tenant.spec) ? static_cast<engine::DeploymentId>(index) + 1 : engine::kNoDeployment;
  if (!scheduler_.add(std::move(request), now).accepted()) {
    ++tenant.refused;
    return;
  }
  ++tenant.accepted;
  tenant.bucket.add(estimated, now);
  live_[last_id_] = {index, estimated, now, 0, prompt_tokens, 0, 0};
}

void FlywheelHouse::step() {
  const Nanos begin = parts_.clock.now();
  const engine::StepPlan& plan = scheduler_.plan(begin);
  if (plan.empty()) return;
  const engine::StepResult result = parts_.runner.run(plan);
  const Nanos now = parts_.clock.now();
  step_times_.push_back(static_cast<float>(seconds(now - begin) * 1e3));
  count_prompts(plan);
  for (const engine::Output& output : scheduler_.commit(result, now)) hear(output, now);
}

// Each prompt token once, however often it was computed.
void FlywheelHouse::count_prompts(const engine::StepPlan& plan) {
  for (const engine::StepSequence& step : plan.sequences) {
    Live& live = live_.at(step.request);
    const int32_t end = std::min(step.computed + step.count, step.prompt_tokens);
    if (end <= live.computed) continue;
    Tenant& tenant = tenants_[live.tenant];
    tenant.prompt += end - live.computed;
    tenant.delivered += scheduler_.prices().of_prompt(live.computed, end, step.adapter);
    live.computed = end;
  }
}

void FlywheelHouse::hear(const engine::Output& output, Nanos now) {
  Live& live = live_.at(output.request);
  Tenant& tenant = tenants_[live.tenant];
  const auto count = static_cast<int32_t>(output.tokens.size());
  const engine::TokenPrices& prices = scheduler_.prices();
  tenant.generated += count;
  tenant.delivered +=
      prices.of_tokens(live.prompt_tokens + live.generated, count, engine::kBaseModel);
  live.generated += count;
  if (count > 0 && live.last_token == 0) {
    tenant.ttft.push_back(static_cast<float>(seconds(now - live.arrived)));
  } else if (count > 0) {
    tenant.gaps += seconds(now - live.last_token);
    tenant.itl.push_back(static_cast<float>(seconds(now - live.last_token)));
  }
  live.last_token = now;
  if (!output.request_done) return;
  const engine::Cost actual =
      prices.of_prompt(output.usage.cached_tokens, live.prompt_tokens, engine::kBaseModel) +
      prices.of_tokens(live.prompt_tokens, live.generated, engine::kBaseModel);
  tenant.bucket.correct(live.estimated, actual, now);
  live_.erase(output.request);
}

std::vector<FlywheelShare> FlywheelHouse::take() {
  const Nanos now = parts_.clock.now();
  const double minutes = seconds(now - taken_at_) / kMinute;
  std::vector<FlywheelShare> shares;
  for (Tenant& tenant : tenants_) {
    FlywheelShare& share = shares.emplace_back();
    share.name = tenant.spec.name;
    share.bought = tenant.spec.rate;
    share.delivered = static_cast<double>(tenant.delivered) / minutes;
    share.prompt_per_minute = static_cast<double>(tenant.prompt) / minutes;
    share.generated_per_minute = static_cast<double>(tenant.generated) / minutes;
    share.time_per_token_ms =
        tenant.itl.empty() ? 0 : tenant.gaps / static_cast<double>(tenant.itl.size()) * 1e3;
    share.itl_p50_ms = quantile(tenant.itl, 0.5) * 1e3;
    share.itl_p99_ms = quantile(tenant.itl, 0.99) * 1e3;
    share.ttft_p50_ms = quantile(tenant.ttft, 0.5) * 1e3;
    share.ttft_p99_ms = quantile(tenant.ttft, 0.99) * 1e3;
    share.accepted = tenant.accepted;
    share.refused = tenant.refused;
    tenant.delivered = 0;
    tenant.prompt = tenant.generated = tenant.accepted = tenant.refused = 0;
    tenant.gaps = 0;
    tenant.itl.clear();
    tenant.ttft.clear();
  }
  step_times_.clear();
  taken_at_ = now;
  return shares;
}

}  // namespace hearth::sim
