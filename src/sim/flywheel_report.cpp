#include "sim/flywheel_report.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "flywheel/ptu.h"
#include "io/json.h"

namespace hearth::sim {
namespace {

using io::Json;

double bought(const FlywheelShare& share) {
  return static_cast<double>(share.bought) / flywheel::kCostPerPtu;
}
double delivered(const FlywheelShare& share) { return share.delivered / flywheel::kCostPerPtu; }

std::string shares_table(const std::vector<FlywheelShare>& shares) {
  std::string out =
      fmt::format("    {:<18} {:>9} {:>9} {:>11} {:>11} {:>9} {:>8} {:>8} {:>9} {:>8}\n", "tenant",
                  "bought", "delivered", "prompt/min", "gen/min", "ms/token", "ITL p50", "ITL p99",
                  "TTFT p50", "refused");
  for (const FlywheelShare& share : shares) {
    out += fmt::format(
        "    {:<18} {:>9.2f} {:>9.2f} {:>11.0f} {:>11.0f} {:>9.2f} {:>8.2f} {:>8.2f} {:>9.1f} "
        "{:>8}\n",
        share.name, bought(share), delivered(share), share.prompt_per_minute,
        share.generated_per_minute, share.time_per_token_ms, share.itl_p50_ms, share.itl_p99_ms,
        share.ttft_p50_ms, share.refused);
  }
  return out;
}

std::string steps_line(const MixTrial& trial) {
  return fmt::format("    steps: p50 {:.2f} ms, p99 {:.2f} ms, longest {:.2f} ms\n",
                     trial.step_p50_ms, trial.step_p99_ms, trial.step_max_ms);
}

Json shares_json(const std::vector<FlywheelShare>& shares) {
  Json all = Json::array();
  for (const FlywheelShare& share : shares) {
    all.push_back({{"tenant", share.name},
                   {"bought_ptu", bought(share)},
                   {"delivered_ptu", delivered(share)},
                   {"prompt_tokens_per_minute", share.prompt_per_minute},
                   {"generated_tokens_per_minute", share.generated_per_minute},
                   {"time_per_token_ms", share.time_per_token_ms},
                   {"itl_p50_ms", share.itl_p50_ms},
                   {"itl_p99_ms", share.itl_p99_ms},
                   {"ttft_p50_ms", share.ttft_p50_ms},
                   {"ttft_p99_ms", share.ttft_p99_ms},
                   {"accepted", share.accepted},
                   {"refused", share.refused}});
  }
  return all;
}

Json mix_json(const MixTrial& trial) {
  return {{"shares", shares_json(trial.shares)},
          {"time_per_token_spread", trial.time_per_token_spread},
          {"delivered_error", trial.delivered_error},
          {"step_p50_ms", trial.step_p50_ms},
          {"step_p99_ms", trial.step_p99_ms},
          {"step_max_ms", trial.step_max_ms}};
}

Json noisy_json(const NoisyTrial& trial) {
  return {{"quiet", shares_json(trial.quiet)},
          {"noisy", shares_json(trial.noisy)},
          {"p99_moved", trial.p99_moved},
          {"delivered_moved", trial.delivered_moved}};
}

Json curve_json(const DoublingTrial& trial) {
  Json curve = Json::array();
  for (const auto& point : trial.curve) curve.push_back(shares_json(point));
  return curve;
}

}  // namespace

FlywheelResults run_flywheel(const TrialOptions& options, int linear_points, int32_t servers,
                             const std::function<void(const char*)>& progress) {
  FlywheelResults results;
  results.capacity_ptu = static_cast<double>(options.capacity) / flywheel::kCostPerPtu;
  progress("three tenants");
  results.mix = run_mix(options);
  progress("documents, cut");
  results.cut = run_documents(options, Prompts::kCut);
  progress("documents, whole");
  results.whole = run_documents(options, Prompts::kWhole);
  progress("doubling live");
  results.doubling = run_doubling(options);
  progress("a neighbour without a contract");
  results.noisy_standard = run_noisy(options, engine::ServiceClass::kStandard);
  progress("a neighbour with one");
  results.noisy_provisioned = run_noisy(options, engine::ServiceClass::kProvisioned);
  progress("linearity");
  results.linear = run_linear(options, linear_points);
  if (servers > 0) progress("the fleet");
  results.fleet = run_fleet(options, servers);
  return results;
}

std::vector<FlywheelBar> flywheel_bars(const FlywheelResults& results) {
  const auto percent = [](double share) { return share * 100; };
  std::vector<FlywheelBar> bars = {
      {"time per token equal over the tenants", percent(results.mix.time_per_token_spread), 3, "%"},
      {"delivered = purchased", percent(results.mix.delivered_error), 2, "%"},
      {"a doubled purchase doubles the rate", percent(std::abs(results.doubling.doubled / 2 - 1)),
       2, "%"},
      {"and moves nobody else's", percent(results.doubling.others_moved), 2, "%"},
      {"10 x load of standard work: p99 ITL of others", percent(results.noisy_standard.p99_moved),
       5, "%"},
      {"10 x load of a contract: p99 ITL of others", percent(results.noisy_provisioned.p99_moved),
       5, "%"},
      {"delivered is linear in purchased, R^2", results.linear.r_squared, 0.999, "", true}};
  if (!results.fleet.empty()) {
    bars.push_back({"delivered = purchased over the fleet",
                    percent(results.fleet.back().worst_error), 2, "%"});
  }
  return bars;
}

std::string doubling_table(const DoublingTrial& trial) {
  const int64_t before = trial.before[0].accepted, after = trial.after[0].accepted;
  return "  before the first tenant buys twice as much\n" + shares_table(trial.before) +
         "  after\n" + shares_table(trial.after) +
         fmt::format("    {:.3f} times the rate, judged by {} and {} requests: one is {:.2f} %\n",
                     trial.doubled, before, after,
                     100.0 / static_cast<double>(std::max<int64_t>(before, 1)));
}

std::string flywheel_table(const FlywheelResults& results) {
  std::string out = fmt::format("{}: capacity {:.1f} PTU\n\n", results.title, results.capacity_ptu);
  out += "  three tenants, prompts cut to the time of a step\n" + shares_table(results.mix.shares) +
         steps_line(results.mix);
  out += "\n  with long documents besides, cut\n" + shares_table(results.cut.shares) +
         steps_line(results.cut);
  out += "\n  the same load, whole prompts\n" + shares_table(results.whole.shares) +
         steps_line(results.whole);
  out += "\n" + doubling_table(results.doubling);
  out += "\n  a neighbour without a contract, at its usual load\n" +
         shares_table(results.noisy_standard.quiet) + "  at ten times that\n" +
         shares_table(results.noisy_standard.noisy);
  out += "\n  a neighbour with a contract, at ten times its usual load\n" +
         shares_table(results.noisy_provisioned.noisy);
  out += "\n  bought and delivered, PTU\n";
  for (size_t i = 0; i < results.linear.bought.size(); ++i) {
    out += fmt::format("    {:>9.2f} {:>9.2f}\n", results.linear.bought[i],
                       results.linear.delivered[i]);
  }
  if (!results.fleet.empty()) {
    out += "\n  servers, bought and delivered, PTU\n";
    for (const FleetPoint& point : results.fleet) {
      out += fmt::format("    {:>5} {:>11.1f} {:>11.1f}\n", point.servers, point.bought,
                         point.delivered);
    }
  }
  out += "\n";
  for (const FlywheelBar& bar : flywheel_bars(results)) {
    out += fmt::format("  {:<4} {:<50} {:>10.4g} {} (bar {} {:g})\n", bar.held() ? "ok" : "MISS",
                       bar.name, bar.value, bar.unit, bar.at_least ? "at least" : "at most",
                       bar.limit);
  }
  return out;
}

std::string flywheel_json(const FlywheelResults& results) {
  Json bars = Json::array();
  for (const FlywheelBar& bar : flywheel_bars(results)) {
    bars.push_back(
        {{"name", bar.name}, {"value", bar.value}, {"limit", bar.limit}, {"held", bar.held()}});
  }
  Json fleet = Json::array();
  for (const FleetPoint& point : results.fleet) {
    fleet.push_back({{"servers", point.servers},
                     {"bought_ptu", point.bought},
                     {"delivered_ptu", point.delivered}});
  }
  return io::dump_json({{"bench", "flywheel"},
                        {"on", results.title},
                        {"capacity_ptu", results.capacity_ptu},
                        {"mix", mix_json(results.mix)},
                        {"documents_cut", mix_json(results.cut)},
                        {"documents_whole", mix_json(results.whole)},
                        {"doubling",
                         {{"before", shares_json(results.doubling.before)},
                          {"after", shares_json(results.doubling.after)},
                          {"seconds_per_point", results.doubling.seconds_per_point},
                          {"curve", curve_json(results.doubling)}}},
                        {"noisy_standard", noisy_json(results.noisy_standard)},
                        {"noisy_provisioned", noisy_json(results.noisy_provisioned)},
                        {"linear",
                         {{"bought_ptu", results.linear.bought},
                          {"delivered_ptu", results.linear.delivered},
                          {"slope", results.linear.slope},
                          {"r_squared", results.linear.r_squared}}},
                        {"fleet", std::move(fleet)},
                        {"bars", std::move(bars)}});
}

}  // namespace hearth::sim
