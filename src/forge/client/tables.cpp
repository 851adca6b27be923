#include "forge/client/tables.h"

#include <algorithm>
#include <ctime>
#include <fmt/format.h>
#include <vector>

#include "base/text_columns.h"
#include "io/json.h"

namespace hearth::forge {

using io::Json;

namespace {

constexpr int kNarrowest = 70;

std::string workers_of(const Json& job) {
  const auto now = job.at("workers").get<int>(), most = job.at("max_workers").get<int>();
  return fmt::format("{}/{}", now, most);
}

std::string state_of(const Json& job) {
  const auto state = job.at("state").get<std::string>();
  const auto reason = job.at("reason").get<std::string>();
  const bool told = state == "queued" && reason != "new" && reason != "best fit";
  return told ? reason : state;
}

std::string tm_text(int64_t ms, const char* format) {
  const auto seconds = static_cast<time_t>(ms / 1'000);
  tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  return {text, strftime(text, sizeof text, format, &local)};
}

std::string job_row(const Json& job, int64_t now, int name, int where) {
  const bool placed = !job.at("where").get<std::string>().empty();
  const int64_t since = now - job.at("changed_at").get<int64_t>();
  return trimmed_line(fmt::format(
      "{:>6} {} {} {} {} {:>7} {} {:>6}", job.at("id").get<int64_t>(),
      fit(job.at("name").get<std::string>(), name), fit(state_of(job), 10),
      fit(job.at("tier").get<std::string>(), 8),
      fit(job.at("virtual_cluster").get<std::string>(), 9), workers_of(job),
      fit(placed ? job.at("where").get<std::string>() : "-", where), short_duration(since)));
}

std::string node_row(const Json& node, int columns) {
  const auto devices = node.at("devices").size();
  const double busy = node.at("busy").get<double>();
  const double part = devices > 0 ? busy / static_cast<double>(devices) : 0;
  return trimmed_line(fmt::format(
      "{} {} {} {} {}", fit(node.at("name").get<std::string>(), 16),
      fit(node.at("cluster").get<std::string>(), 12), fit(node.at("state").get<std::string>(), 9),
      meter(part, columns - 58), fmt::format("{:.4g} of {}", busy, devices)));
}

}  // namespace

std::string clock_time(int64_t ms, int64_t now_ms) {
  const bool today = tm_text(ms, "%F") == tm_text(now_ms, "%F");
  return tm_text(ms, today ? "%T" : "%F %T");
}

std::string jobs_table(const Json& jobs, int columns) {
  columns = std::max(columns, kNarrowest);
  const int spare = columns - 6 - 10 - 8 - 9 - 7 - 6 - 7;  // with the blanks between
  const int name = std::max(8, spare * 3 / 5), where = std::max(6, spare - name);
  std::string out = trimmed_line(
      fmt::format("{:>6} {} {} {} {} {:>7} {} {:>6}", "job", fit("name", name), fit("state", 10),
                  fit("tier", 8), fit("cluster", 9), "workers", fit("where", where), "since"));
  const int64_t now = jobs.at("now").get<int64_t>();
  for (const Json& job : jobs.at("jobs")) out += job_row(job, now, name, where);
  return out;
}

std::string top_screen(const Json& state, const Json& jobs, int columns, int rows) {
  columns = std::max(columns, kNarrowest);
  const Json& totals = state.at("totals");
  const double devices = totals.at("devices").get<double>(), busy = totals.at("busy").get<double>();
  const double part = devices > 0 ? busy / devices : 0;
  std::string out = fmt::format(
      "{}  {:.0f} devices, {:.4g} busy ({:.0f} %)   {} running, {} waiting, policy {}\n\n",
      clock_time(state.at("now").get<int64_t>(), state.at("now").get<int64_t>()), devices, busy,
      part * 100, totals.at("running").get<int>(), totals.at("waiting").get<int>(),
      state.at("policy").get<std::string>());
  int left = rows - 3;
  const auto add = [&](const std::string& line) {
    if (left-- > 0) out += line;
  };
  for (const Json& vc : state.at("virtual_clusters")) {
    const double used = vc.at("used").get<double>();
    const int guarantee = vc.at("guarantee").get<int>();
    add(trimmed_line(
        fmt::format("{} {} {:.4g} used, {} guaranteed", fit(vc.at("name").get<std::string>(), 16),
                    meter(devices > 0 ? used / devices : 0, columns - 58), used, guarantee)));
  }
  add("\n");
  // The busiest first, and no more than half of what is left.
  std::vector<const Json*> nodes;
  for (const Json& node : state.at("nodes")) nodes.push_back(&node);
  std::stable_sort(nodes.begin(), nodes.end(), [](const Json* a, const Json* b) {
    return a->at("busy").get<double>() > b->at("busy").get<double>();
  });
  const auto shown = std::min(nodes.size(), static_cast<size_t>(std::max(1, left / 2)));
  for (size_t i = 0; i < shown; ++i) add(node_row(*nodes[i], columns));
  if (shown < nodes.size()) add(fmt::format("and {} nodes more\n", nodes.size() - shown));
  add("\n");
  const std::string table = jobs_table(jobs, columns);
  for (size_t at = 0; at < table.size();) {
    const size_t end = table.find('\n', at) + 1;
    add(table.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string event_line(const Json& event) {
  const auto at = event.at("at").get<int64_t>();
  return fmt::format("{}.{:03} {}\n", tm_text(at, "%F %T"), at % 1'000,
                     event.at("text").get<std::string>());
}

std::string events_text(const Json& events) {
  std::string out;
  for (const Json& event : events.at("events")) out += event_line(event);
  return out;
}

}  // namespace hearth::forge
