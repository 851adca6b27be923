#include "serve/client/top_screen.h"

#include <algorithm>
#include <fmt/format.h>
#include <vector>

#include "base/text_columns.h"

namespace hearth::serve {
namespace {

using io::Json;
using Lines = std::vector<std::string>;

constexpr int kNarrowest = 70;
constexpr int kMeter = 20;
constexpr int kTenant = 12;
constexpr int kRoomForTenants = 100;  // columns
constexpr size_t kOldShown = 3;       // of jobs and batches that are over

// Parts of an answer that may be null where nothing happened yet.
std::string milliseconds(const Json& quantiles) {
  const auto text = [](const Json& seconds) {
    return seconds.is_number() ? fmt::format("{:.3g}", seconds.get<double>() * 1e3) : "-";
  };
  return fmt::format("{} ms (p99 {})", text(quantiles.at("p50")), text(quantiles.at("p99")));
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

// 950, 12.3k, 4.56M
std::string count_text(double value) {
  if (value < 10'000) return fmt::format("{:.0f}", value);
  if (value < 1e6) return fmt::format("{:.1f}k", value / 1e3);
  return fmt::format("{:.2f}M", value / 1e6);
}

Lines head_lines(const TopAnswers& answers) {
  const Json& status = answers.status;
  const bool ready = status.at("ready").get<bool>(), healthy = status.at("healthy").get<bool>();
  const int64_t up_s = std::max<int64_t>(1, answers.now_s - status.at("started_at").get<int64_t>());
  return {fmt::format("hearth {}   {}   {}   up {}", status.at("version").get<std::string>(),
                      status.at("model").get<std::string>(),
                      !healthy ? "THE LAST STEP FAILED"
                      : ready  ? "ready"
                               : "draining",
                      short_duration(up_s * 1'000)),
          ""};
}

Lines figure_lines(const Json& status) {
  const Json& live = status.at("live");
  const Json& cache = status.at("kv_cache");
  const Json& adapters = status.at("adapters");
  const double used =
      share(cache.at("blocks_used").get<double>(), cache.at("blocks").get<double>());
  Lines out = {fmt::format("generated   {:>8.0f} tokens/s   between tokens  {}",
                           live.at("generation_tokens_per_second").get<double>(),
                           milliseconds(live.at("itl_seconds"))),
               fmt::format("prompt      {:>8.0f} tokens/s   to first token  {}",
                           live.at("prompt_tokens_per_second").get<double>(),
                           milliseconds(live.at("ttft_seconds"))),
               fmt::format("requests    {} running, {} waiting", live.at("running").get<int>(),
                           live.at("waiting").get<int>()),
               fmt::format("KV cache    {} {:.1f} %", hearth::meter(used, kMeter), used * 100)};
  const int known = adapters.at("memory").get<int>() + adapters.at("mapped").get<int>() +
                    adapters.at("stored").get<int>() + adapters.at("loading").get<int>();
  if (known > 0) {
    out.push_back(fmt::format("adapters    {} in memory, {} loading, {} mapped, {} stored",
                              adapters.at("memory").get<int>(), adapters.at("loading").get<int>(),
                              adapters.at("mapped").get<int>(), adapters.at("stored").get<int>()));
  }
  std::string refused;
  for (const auto& [reason, times] : status.at("rejections").items()) {
    refused += fmt::format("{}{} {}", refused.empty() ? "" : ", ", reason,
                           count_text(times.get<double>()));
  }
  if (!refused.empty()) out.push_back("refused     " + refused);
  return out;
}

Lines capacity_lines(const Json& deployments) {
  if (!deployments.contains("capacity")) return {};
  const Json& capacity = deployments.at("capacity");
  const double sold = capacity.at("sold").get<double>();
  if (!capacity.at("ptu").is_number()) {
    return {
        fmt::format("PTU         {:.4g} sold; how many there are says `hearth calibrate`", sold)};
  }
  const double total = capacity.at("ptu").get<double>();
  return {fmt::format("PTU         {} {:.4g} of {:.4g} sold ({})",
                      hearth::meter(share(sold, total), kMeter), sold, total,
                      capacity.at("source").get<std::string>())};
}

// What is left of the width for the first column.
int name_width(int columns, int others) { return std::clamp(columns - others, 7, 40); }

struct DeploymentColumns {
  int name = 0;
  int tenant = 0;  // 0: left out

  explicit DeploymentColumns(int columns) : tenant(columns < kRoomForTenants ? 0 : kTenant) {
    name = name_width(columns, 64 + tenant);
  }
  std::string first(const std::string& of_name, const std::string& of_tenant) const {
    return fit(of_name, name) + fit(tenant > 0 ? " " + of_tenant : "", tenant);
  }
};

std::string deployment_line(const Json& one, const DeploymentColumns& columns) {
  const Json& status = one.at("status");
  const bool bought = one.at("service_class") == "provisioned";
  const auto number = [&](const char* key) { return status.at(key).get<double>(); };
  return fmt::format(
      "{} {:>8} {:>8.3g} {:>5} {:>8} {:>8} {:>6.1f} {:>4}/{:<3}{:>6}",
      columns.first(one.at("name").get<std::string>(), one.at("tenant").get<std::string>()),
      bought ? fmt::format("{:.4g}", one.at("ptu").get<double>())
             : one.at("service_class").get<std::string>(),
      number("used_ptu"), bought ? fmt::format("{:.0f}%", number("utilization") * 100) : "-",
      count_text(number("prompt_tokens_per_minute")),
      count_text(number("generated_tokens_per_minute")), number("time_per_token_ms"),
      status.at("running").get<int>(), status.at("waiting").get<int>(),
      count_text(number("refused")));
}

Lines deployment_lines(const Json& deployments, int width) {
  if (deployments.at("data").empty()) return {};
  const DeploymentColumns columns(width);
  Lines out = {"", fmt::format("{} {:>8} {:>8} {:>5} {:>8} {:>8} {:>6} {:>8}{:>6}",
                               columns.first("deployment", "tenant"), "ptu", "used", "full",
                               "prompt/m", "gen/m", "ms/tok", "run/wait", "refus.")};
  for (const Json& one : deployments.at("data")) out.push_back(deployment_line(one, columns));
  return out;
}

// All that go on and the newest of those that are over; the list has the newest first.
template <typename IsOver>
std::vector<const Json*> worth_showing(const Json& list, IsOver is_over) {
  std::vector<const Json*> out;
  size_t old = 0;
  for (const Json& one : list.at("data")) {
    if (!is_over(one) || old++ < kOldShown) out.push_back(&one);
  }
  return out;
}

bool is_one_of(const Json& status, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return status == name; });
}

Lines job_lines(const Json& jobs, int columns) {
  const auto shown = worth_showing(jobs, [](const Json& job) {
    return is_one_of(job.at("status"), {"succeeded", "failed", "cancelled"});
  });
  if (shown.empty()) return {};
  const int name = name_width(columns, 58);
  Lines out = {"", fmt::format("{} {} {}", fit("tuning job", name), fit("state", 16), "steps")};
  for (const Json* job : shown) {
    const Json& progress = job->at("progress");
    const auto step = progress.at("step").get<int64_t>();
    const auto steps = progress.at("total_steps").get<int64_t>();
    const Json& result = job->at("fine_tuned_model");
    const std::string id =
        result.is_string() ? result.get<std::string>() : job->at("id").get<std::string>();
    out.push_back(fmt::format(
        "{} {} {} {} of {}", fit(id, name), fit(job->at("status").get<std::string>(), 16),
        hearth::meter(share(static_cast<double>(step), static_cast<double>(steps)), kMeter), step,
        steps));
  }
  return out;
}

Lines batch_lines(const Json& batches, int columns) {
  const auto shown = worth_showing(batches, [](const Json& batch) {
    return is_one_of(batch.at("status"), {"completed", "failed", "cancelled", "expired"});
  });
  if (shown.empty()) return {};
  const int name = name_width(columns, 58);
  Lines out = {"", fmt::format("{} {} {}", fit("batch", name), fit("state", 16), "requests")};
  for (const Json* batch : shown) {
    const Json& counts = batch->at("request_counts");
    const auto total = counts.at("total").get<int64_t>();
    const auto failed = counts.at("failed").get<int64_t>();
    const int64_t done = counts.at("completed").get<int64_t>() + failed;
    out.push_back(fmt::format(
        "{} {} {} {} of {}{}", fit(batch->at("id").get<std::string>(), name),
        fit(batch->at("status").get<std::string>(), 16),
        hearth::meter(share(static_cast<double>(done), static_cast<double>(total)), kMeter), done,
        total, failed > 0 ? fmt::format(", {} failed", failed) : ""));
  }
  return out;
}

}  // namespace

std::string top_screen(const TopAnswers& answers, int columns, int rows) {
  columns = std::max(columns, kNarrowest);
  Lines lines;
  const auto add = [&](const Lines& more) { lines.insert(lines.end(), more.begin(), more.end()); };
  add(head_lines(answers));
  add(figure_lines(answers.status));
  if (answers.deployments.is_object()) {
    add(capacity_lines(answers.deployments));
    add(deployment_lines(answers.deployments, columns));
  }
  if (answers.jobs.is_object()) add(job_lines(answers.jobs, columns));
  if (answers.batches.is_object()) add(batch_lines(answers.batches, columns));
  std::string out;
  const size_t shown = std::min(lines.size(), static_cast<size_t>(std::max(rows - 1, 1)));
  for (size_t i = 0; i < shown; ++i) out += trimmed_line(fit(lines[i], columns));
  return out;
}

}  // namespace hearth::serve
