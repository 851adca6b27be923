// What does the brain cost? Nanoseconds of plan() and commit() per sequence while everybody
// generates, and of the rest of a request's life. One JSON line a measurement.
#include "engine/scheduler.h"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <functional>
#include <vector>

#include "base/clock.h"

namespace hearth::engine {
namespace {

constexpr int kRepeats = 7;

EngineConfig config_for(int32_t running) {
  EngineConfig config;
  config.max_num_seqs = running;
  config.max_num_batched_tokens = std::max(2048, running);
  config.max_model_len = 4096;
  config.num_blocks = running * 64 + 4096;
  config.max_queued_requests = 1 << 20;
  config.max_queued_tokens = int64_t{1} << 40;
  return config;
}

Request make_request(RequestId id, int32_t prompt_tokens, int32_t max_tokens) {
  Request request;
  request.id = id;
  request.max_tokens = max_tokens;
  for (int32_t i = 0; i < prompt_tokens; ++i) {
    request.prompt.push_back(static_cast<TokenId>((id * 7919 + static_cast<uint64_t>(i)) % 50'000));
  }
  return request;
}

// Answers each plan with the same token; its own cost is not measured.
struct Driver {
  explicit Driver(const EngineConfig& config) : scheduler(config) {}

  // Nanoseconds of plan() and of commit().
  std::pair<Nanos, Nanos> step() {
    const Nanos start = clock.now();
    const StepPlan& plan = scheduler.plan(start);
    const Nanos planned = clock.now();
    result.sequences.resize(plan.sequences.size());
    for (size_t i = 0; i < plan.sequences.size(); ++i) {
      result.sequences[i].sampled.clear();
      if (plan.sequences[i].want == Want::kToken) result.sequences[i].sampled.emplace_back();
    }
    const Nanos ready = clock.now();
    if (!plan.sequences.empty()) scheduler.commit(result, ready);
    return {planned - start, clock.now() - ready};
  }

  SystemClock clock;
  Scheduler scheduler;
  StepResult result;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + std::ptrdiff_t(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

void print(const char* question, int32_t running, double plan_ns, double commit_ns) {
  fmt::print(
      "{{\"bench\":\"scheduler\",\"question\":\"{}\",\"running\":{},\"plan_ns\":{:.1f},"
      "\"commit_ns\":{:.1f},\"unit\":\"per sequence and step\"}}\n",
      question, running, plan_ns, commit_ns);
}

void measure_generation(int32_t running) {
  Driver driver(config_for(running));
  for (int32_t i = 0; i < running; ++i) {
    driver.scheduler.add(make_request(static_cast<RequestId>(i) + 1, 64, 3000), 0);
  }
  while (driver.scheduler.stats().waiting > 0) driver.step();
  for (int i = 0; i < 20; ++i) driver.step();
  std::vector<double> plans, commits;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    constexpr int kSteps = 100;
    Nanos plan = 0, commit = 0;
    for (int i = 0; i < kSteps; ++i) {
      const auto [plan_ns, commit_ns] = driver.step();
      plan += plan_ns;
      commit += commit_ns;
    }
    plans.push_back(static_cast<double>(plan) / kSteps / running);
    commits.push_back(static_cast<double>(commit) / kSteps / running);
  }
  print("generation", running, median(plans), median(commits));
}

// Short requests come and go: what one costs from add() to its end, and per step it takes part in.
void measure_churn(int32_t running) {
  Driver driver(config_for(running));
  std::vector<double> plans, commits;
  RequestId next = 1;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    Nanos plan = 0, commit = 0;
    int64_t sequences = 0;
    for (int i = 0; i < 50; ++i) {
      const Stats stats = driver.scheduler.stats();
      for (int32_t in = stats.running + stats.waiting; in < running; ++in) {
        driver.scheduler.add(make_request(next++, 48, 16), 0);
      }
      const auto [plan_ns, commit_ns] = driver.step();
      plan += plan_ns;
      commit += commit_ns;
      sequences += std::ssize(driver.result.sequences);
    }
    plans.push_back(static_cast<double>(plan) / static_cast<double>(sequences));
    commits.push_back(static_cast<double>(commit) / static_cast<double>(sequences));
  }
  print("churn", running, median(plans), median(commits));
}

}  // namespace
}  // namespace hearth::engine

int main() {
  for (const int32_t running : {128, 1024}) {
    hearth::engine::measure_generation(running);
    hearth::engine::measure_churn(running);
  }
}
