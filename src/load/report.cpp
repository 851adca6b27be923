#include "load/report.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

#include "base/error.h"
#include "io/json.h"

namespace hearth::load {
namespace {

double milliseconds(Nanos time) { return static_cast<double>(time) / kMillisecond; }

// The smallest value that at least `share` of the values do not exceed.
double quantile(const std::vector<double>& sorted, double share) {
  const auto rank =
      static_cast<size_t>(std::max(0.0, std::ceil(share * static_cast<double>(sorted.size())) - 1));
  return sorted[std::min(rank, sorted.size() - 1)];
}

Distribution distribution(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  double sum = 0;
  for (double value : values) sum += value;
  return {sum / static_cast<double>(values.size()), quantile(values, 0.5), quantile(values, 0.9),
          quantile(values, 0.99)};
}

struct Latency {
  Nanos ttft = 0;
  Nanos tpot = 0;
  Nanos e2e = 0;
};

Latency latency(const RequestRecord& record) {
  Latency result;
  result.e2e = record.ended - record.sent;
  if (record.token_times.empty()) return result;
  result.ttft = record.token_times.front() - record.sent;
  if (record.output_tokens > 1) {
    result.tpot =
        (record.token_times.back() - record.token_times.front()) / (record.output_tokens - 1);
  }
  return result;
}

bool keeps(const Latency& latency, const ServiceLevel& level) {
  return (!level.ttft || latency.ttft <= *level.ttft) &&
         (!level.tpot || latency.tpot <= *level.tpot) && (!level.e2e || latency.e2e <= *level.e2e);
}

std::string table_row(const char* name, const Distribution& d) {
  return fmt::format("  {:<28}{:>10.2f}{:>10.2f}{:>10.2f}{:>10.2f}\n", name, d.mean_ms, d.median_ms,
                     d.p90_ms, d.p99_ms);
}

io::Json distribution_json(const Distribution& d) {
  return {{"mean_ms", d.mean_ms},
          {"median_ms", d.median_ms},
          {"p90_ms", d.p90_ms},
          {"p99_ms", d.p99_ms}};
}

double per_second(double amount, const Report& report) {
  return report.duration_s > 0 ? amount / report.duration_s : 0;
}

}  // namespace

ServiceLevel parse_service_level(const std::string& text) {
  ServiceLevel level;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t colon = part.find(':');
    const std::string name = part.substr(0, colon);
    char* rest = nullptr;
    const double value =
        colon == std::string::npos ? -1 : std::strtod(part.c_str() + colon + 1, &rest);
    if (value < 0 || rest == nullptr || *rest != '\0') {
      throw_error(ErrorCode::kInvalidArgument, "--goodput",
                  "'{}' is not NAME:MILLISECONDS, such as ttft:500", part);
    }
    const auto bound = static_cast<Nanos>(value * kMillisecond);
    if (name == "ttft") {
      level.ttft = bound;
    } else if (name == "tpot") {
      level.tpot = bound;
    } else if (name == "e2el") {
      level.e2e = bound;
    } else {
      throw_error(ErrorCode::kInvalidArgument, "--goodput", "'{}' is not one of ttft, tpot, e2el",
                  name);
    }
  }
  return level;
}

Report make_report(const std::vector<RequestRecord>& records, const ServiceLevel& level) {
  Report report;
  std::vector<double> ttft, tpot, itl, e2e, late;
  std::map<std::string, int64_t> errors;
  int64_t good = 0;
  Nanos end = 0;
  for (const RequestRecord& record : records) {
    end = std::max(end, record.ended);
    late.push_back(milliseconds(record.late));
    if (!record.error.empty()) {
      ++report.failed;
      ++errors[record.error];
      continue;
    }
    const Latency times = latency(record);
    ++report.succeeded;
    good += keeps(times, level) ? 1 : 0;
    report.prompt_tokens += record.prompt_tokens;
    report.cached_tokens += record.cached_tokens;
    report.output_tokens += record.output_tokens;
    e2e.push_back(milliseconds(times.e2e));
    if (record.token_times.empty()) continue;
    ttft.push_back(milliseconds(times.ttft));
    if (record.output_tokens > 1) tpot.push_back(milliseconds(times.tpot));
    for (size_t i = 1; i < record.token_times.size(); ++i) {
      itl.push_back(milliseconds(record.token_times[i] - record.token_times[i - 1]));
    }
  }
  report.duration_s = static_cast<double>(end) / kSecond;
  report.ttft = distribution(std::move(ttft));
  report.tpot = distribution(std::move(tpot));
  report.itl = distribution(std::move(itl));
  report.e2e = distribution(std::move(e2e));
  report.late_p99_ms = distribution(std::move(late)).p99_ms;
  if (level.ttft || level.tpot || level.e2e)
    report.goodput_per_second = per_second(static_cast<double>(good), report);
  report.errors.assign(errors.begin(), errors.end());
  return report;
}

std::string report_table(const Report& report) {
  std::string text = fmt::format(
      "  requests                    {:>10} succeeded, {} failed, in {:.2f} s\n"
      "  request throughput          {:>10.2f} requests/s\n"
      "  output throughput           {:>10.2f} tokens/s\n"
      "  total throughput            {:>10.2f} tokens/s (prompt and output)\n"
      "  tokens                      {:>10} prompt ({} cached), {} output\n",
      report.succeeded, report.failed, report.duration_s,
      per_second(static_cast<double>(report.succeeded), report),
      per_second(static_cast<double>(report.output_tokens), report),
      per_second(static_cast<double>(report.prompt_tokens + report.output_tokens), report),
      report.prompt_tokens, report.cached_tokens, report.output_tokens);
  if (report.goodput_per_second) {
    text +=
        fmt::format("  goodput                     {:>10.2f} requests/s inside the service level\n",
                    *report.goodput_per_second);
  }
  if (report.late_p99_ms > 1) {
    text += fmt::format("  sent late                   {:>10.2f} ms p99: raise --max-concurrency\n",
                        report.late_p99_ms);
  }
  text += fmt::format("\n  {:<28}{:>10}{:>10}{:>10}{:>10}\n", "milliseconds", "mean", "median",
                      "p90", "p99");
  text += table_row("time to first token", report.ttft) +
          table_row("time per output token", report.tpot) +
          table_row("inter-token latency", report.itl) + table_row("end to end", report.e2e);
  for (const auto& [error, count] : report.errors)
    text += fmt::format("\n  {} x {}\n", count, error);
  return text;
}

io::Json report_json(const Report& report) {
  io::Json errors = io::Json::object();
  for (const auto& [error, count] : report.errors) errors[error] = count;
  io::Json json = {
      {"succeeded", report.succeeded},
      {"failed", report.failed},
      {"duration_s", report.duration_s},
      {"prompt_tokens", report.prompt_tokens},
      {"cached_tokens", report.cached_tokens},
      {"output_tokens", report.output_tokens},
      {"requests_per_second", per_second(static_cast<double>(report.succeeded), report)},
      {"output_tokens_per_second", per_second(static_cast<double>(report.output_tokens), report)},
      {"ttft", distribution_json(report.ttft)},
      {"tpot", distribution_json(report.tpot)},
      {"itl", distribution_json(report.itl)},
      {"e2el", distribution_json(report.e2e)},
      {"late_p99_ms", report.late_p99_ms},
      {"errors", errors},
  };
  if (report.goodput_per_second) json["goodput_per_second"] = *report.goodput_per_second;
  return json;
}

}  // namespace hearth::load
