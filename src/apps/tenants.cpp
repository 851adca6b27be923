// hearth tenants, keys and usage: the state of a server from the command line, whether it runs or
// not. A running server notices within a second.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/model_source.h"
#include "base/clock.h"
#include "base/error.h"
#include "io/json.h"
#include "serve/ids.h"
#include "serve/state/state.h"
#include "serve/tenants/administration.h"
#include "serve/tenants/usage_store.h"

namespace hearth::apps {
namespace {

using io::Json;
using serve::TenantLimits;

constexpr int64_t kDayS = 86'400;

struct Flags {
  std::string data_dir = default_data_dir();
  std::string project;
  std::string name;
  std::string id;
  std::string expires;
  std::string since = "7d";
  std::string until;
  std::string width = "1d";
  std::vector<std::string> scopes;
  std::vector<std::string> group_by = {"project", "model", "adapter"};
  std::optional<int64_t> requests_per_minute, tokens_per_minute, tokens_per_day, requests_at_once;
  bool admin = false;
  bool json = false;
  bool csv = false;
};

// The database, and who may change it.
struct Office {
  explicit Office(const std::string& data_dir)
      : state((make_data_dir(data_dir), data_dir)), administration(state, ids, clock, "cli") {}

  SystemClock clock;
  serve::Ids ids{serve::secret_seed()};
  serve::State state;
  serve::Administration administration;

  int64_t now_s() const { return clock.wall() / kSecond; }
};

// "90", "15m", "12h", "30d" as seconds.
int64_t seconds_of(const std::string& text, const char* flag) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number);
  const std::string unit(rest, end);
  const int64_t scale = unit.empty() || unit == "s" ? 1
                        : unit == "m"               ? 60
                        : unit == "h"               ? 3600
                        : unit == "d"               ? kDayS
                                                    : 0;
  if (problem != std::errc() || scale == 0 || number < 0) {
    throw_error(ErrorCode::kInvalidArgument, flag,
                "expected a time such as 90s, 15m, 12h or 30d, "
                "got '{}'",
                text);
  }
  return number * scale;
}

std::string day_text(int64_t at_s) {
  if (at_s == 0) return "-";
  char text[32];
  const std::time_t at = at_s;
  std::tm utc{};
  gmtime_r(&at, &utc);
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &utc)};
}

std::string limit_text(int64_t limit) { return limit == 0 ? "-" : std::to_string(limit); }

void print_row(std::initializer_list<std::pair<std::string, int>> cells) {
  std::string line;
  for (const auto& [text, width] : cells) line += fmt::format("{:<{}} ", text, width);
  line.erase(line.find_last_not_of(' ') + 1);
  std::printf("%s\n", line.c_str());
}

Json to_json(const serve::Project& project) {
  return {{"id", project.id},
          {"name", project.name},
          {"created_at", project.created_s},
          {"archived_at", project.archived_s},
          {"requests_per_minute", project.limits.requests_per_minute},
          {"tokens_per_minute", project.limits.tokens_per_minute},
          {"tokens_per_day", project.limits.tokens_per_day},
          {"requests_at_once", project.limits.requests_at_once}};
}

void print_projects(const std::vector<serve::Project>& projects, const Flags& flags) {
  if (!flags.json) {
    print_row({{"NAME", 20},
               {"ID", 30},
               {"REQUESTS/MIN", 12},
               {"TOKENS/MIN", 12},
               {"TOKENS/DAY", 12},
               {"AT ONCE", 8},
               {"CREATED", 16},
               {"ARCHIVED", 16}});
  }
  for (const serve::Project& project : projects) {
    if (flags.json) {
      std::printf("%s\n", io::dump_json(to_json(project)).c_str());
      continue;
    }
    print_row({{project.name, 20},
               {project.id, 30},
               {limit_text(project.limits.requests_per_minute), 12},
               {limit_text(project.limits.tokens_per_minute), 12},
               {limit_text(project.limits.tokens_per_day), 12},
               {limit_text(project.limits.requests_at_once), 8},
               {day_text(project.created_s), 16},
               {day_text(project.archived_s), 16}});
  }
}

TenantLimits with_flags(TenantLimits limits, const Flags& flags) {
  limits.requests_per_minute = flags.requests_per_minute.value_or(limits.requests_per_minute);
  limits.tokens_per_minute = flags.tokens_per_minute.value_or(limits.tokens_per_minute);
  limits.tokens_per_day = flags.tokens_per_day.value_or(limits.tokens_per_day);
  limits.requests_at_once = flags.requests_at_once.value_or(limits.requests_at_once);
  return limits;
}

void list_tenants(const Flags& flags) {
  Office office(flags.data_dir);
  print_projects(serve::TenantStore(office.state).all(), flags);
}

void add_tenant(const Flags& flags) {
  Office office(flags.data_dir);
  print_projects({office.administration.add_project(flags.name, with_flags({}, flags))}, flags);
}

void limit_tenant(const Flags& flags) {
  Office office(flags.data_dir);
  const serve::Project before = office.administration.find(flags.name);
  print_projects({office.administration.set_limits(before.id, with_flags(before.limits, flags))},
                 flags);
}

void archive_tenant(const Flags& flags) {
  Office office(flags.data_dir);
  print_projects({office.administration.archive(flags.name)}, flags);
}

void list_keys(const Flags& flags) {
  Office office(flags.data_dir);
  print_row({{"ID", 29},
             {"ROLE", 7},
             {"TENANT", 20},
             {"NAME", 20},
             {"KEY", 22},
             {"SCOPES", 20},
             {"EXPIRES", 16},
             {"LAST USED", 16}});
  for (const serve::StoredKey& key : serve::TenantStore(office.state).all_keys()) {
    if (!flags.project.empty() && key.project != flags.project) continue;
    std::string scopes;
    for (const std::string& scope : key.scopes) scopes += (scopes.empty() ? "" : ",") + scope;
    print_row({{key.id, 29},
               {serve::to_string(key.role), 7},
               {key.project.empty() ? "-" : key.project, 20},
               {key.name.empty() ? "-" : key.name, 20},
               {key.prefix + "..." + key.tail, 22},
               {scopes.empty() ? "all" : scopes, 20},
               {day_text(key.expires_s), 16},
               {day_text(key.last_used_s), 16}});
  }
}

void add_key(const Flags& flags) {
  if (flags.admin == !flags.project.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "hearth keys add",
                "say whose key it is: --tenant NAME, or --admin");
  }
  Office office(flags.data_dir);
  const int64_t expires =
      flags.expires.empty() ? 0 : office.now_s() + seconds_of(flags.expires, "--expires-in");
  const serve::NewKey made =
      office.administration.add_key({flags.project, flags.name, flags.scopes, expires});
  std::printf("%s\n", made.secret.c_str());
  std::fprintf(stderr, "%s; this is the only time that it is shown\n", made.key.id.c_str());
}

void remove_key(const Flags& flags) {
  Office office(flags.data_dir);
  const auto key = serve::TenantStore(office.state).find_key(flags.id);
  office.administration.remove_key(key ? key->project : "", flags.id);
  std::printf("%s is revoked\n", flags.id.c_str());
}

int64_t width_seconds(const std::string& width) {
  return width == "1m" ? 60 : width == "1h" ? 3600 : kDayS;
}

void show_usage(const Flags& flags) {
  Office office(flags.data_dir);
  serve::UsageQuery query;
  query.width_s = width_seconds(flags.width);
  const int64_t begin = office.now_s() - seconds_of(flags.since, "--since");
  query.begin_s = begin / query.width_s * query.width_s;
  if (!flags.until.empty()) query.end_s = office.now_s() - seconds_of(flags.until, "--until");
  if (!flags.project.empty()) query.projects = {flags.project};
  query.group_by = flags.group_by;
  const auto rows = serve::UsageStore(office.state).query(query);
  if (flags.csv) {
    std::printf(
        "start_time,project,api_key_id,model,adapter,source,requests,prompt_tokens,"
        "cached_tokens,generated_tokens,ptu_minutes\n");
  } else if (!flags.json) {
    print_row({{"FROM", 16},
               {"TENANT", 16},
               {"MODEL", 16},
               {"ADAPTER", 28},
               {"REQUESTS", 9},
               {"PROMPT", 12},
               {"CACHED", 12},
               {"GENERATED", 12},
               {"PTU-MIN", 12}});
  }
  for (const serve::UsageRow& row : rows) {
    const serve::UsageLabels& of = row.labels;
    const serve::UsageCounts& n = row.counts;
    if (flags.csv) {
      std::printf("%lld,%s,%s,%s,%s,%s,%lld,%lld,%lld,%lld,%.6f\n",
                  static_cast<long long>(row.begin_s), of.project.c_str(), of.api_key.c_str(),
                  of.model.c_str(), of.adapter.c_str(), of.source.c_str(),
                  static_cast<long long>(n.requests), static_cast<long long>(n.prompt_tokens),
                  static_cast<long long>(n.cached_tokens),
                  static_cast<long long>(n.generated_tokens), n.ptu_minutes());
    } else if (flags.json) {
      const Json line = {{"start_time", row.begin_s},
                         {"project", of.project},
                         {"api_key_id", of.api_key},
                         {"model", of.model},
                         {"adapter", of.adapter},
                         {"source", of.source},
                         {"requests", n.requests},
                         {"prompt_tokens", n.prompt_tokens},
                         {"cached_tokens", n.cached_tokens},
                         {"generated_tokens", n.generated_tokens},
                         {"ptu_minutes", n.ptu_minutes()}};
      std::printf("%s\n", io::dump_json(line).c_str());
    } else {
      print_row({{day_text(row.begin_s), 16},
                 {of.project, 16},
                 {of.model, 16},
                 {of.adapter.empty() ? "-" : of.adapter, 28},
                 {std::to_string(n.requests), 9},
                 {std::to_string(n.prompt_tokens), 12},
                 {std::to_string(n.cached_tokens), 12},
                 {std::to_string(n.generated_tokens), 12},
                 {fmt::format("{:.3f}", n.ptu_minutes()), 12}});
    }
  }
}

using Action = void (*)(const Flags&);

CLI::App* add_action(CLI::App& parent, const std::shared_ptr<Flags>& flags, const char* name,
                     const char* what, Action action) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->add_option("--data-dir", flags->data_dir, "Where the server keeps its state")
      ->envname("HEARTH_DATA_DIR")
      ->capture_default_str();
  command->callback([flags, action] { action(*flags); });
  return command;
}

void add_limit_flags(CLI::App& command, Flags& flags) {
  command.add_option("--requests-per-minute", flags.requests_per_minute, "0: no limit");
  command.add_option("--tokens-per-minute", flags.tokens_per_minute, "Prompt and generated");
  command.add_option("--tokens-per-day", flags.tokens_per_day, "From midnight to midnight UTC");
  command.add_option("--requests-at-once", flags.requests_at_once, "That run or wait");
}

}  // namespace

void add_tenants_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* tenants = app.add_subcommand("tenants", "Tenants of a server and their limits");
  tenants->require_subcommand(1);
  add_action(*tenants, flags, "list", "All tenants", list_tenants)
      ->add_flag("--json", flags->json, "One JSON object a line");
  CLI::App* add = add_action(*tenants, flags, "add", "A new tenant", add_tenant);
  add->add_option("name", flags->name, "Letters, digits or any of - _ .")->required();
  add_limit_flags(*add, *flags);
  CLI::App* limits = add_action(*tenants, flags, "limits", "Set limits", limit_tenant);
  limits->add_option("name", flags->name, "Name or id")->required();
  add_limit_flags(*limits, *flags);
  add_action(*tenants, flags, "archive", "Its keys stop working; what it has stays", archive_tenant)
      ->add_option("name", flags->name, "Name or id")
      ->required();
}

void add_keys_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* keys = app.add_subcommand("keys", "API keys of a server");
  keys->require_subcommand(1);
  add_action(*keys, flags, "list", "All keys, without their secrets", list_keys)
      ->add_option("--tenant", flags->project, "Only its keys");
  CLI::App* add = add_action(*keys, flags, "add", "A new key, printed once", add_key);
  add->add_option("--tenant", flags->project, "Whose key it is");
  add->add_flag("--admin", flags->admin, "A key that may manage tenants, keys and limits");
  add->add_option("--name", flags->name, "To know it by");
  add->add_option("--scopes", flags->scopes,
                  "Only these: inference, files, batches, fine_tuning, adapters, usage")
      ->delimiter(',');
  add->add_option("--expires-in", flags->expires, "Such as 12h or 90d");
  add_action(*keys, flags, "remove", "Revoke a key", remove_key)
      ->add_option("id", flags->id, "key_...")
      ->required();
}

void add_usage_command(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* usage = add_action(
      app, flags, "usage",
      "Tokens and PTU-minutes by tenant, model and adapter, as a table, JSON or CSV", show_usage);
  usage->add_option("--tenant", flags->project, "Only this one's");
  usage->add_option("--since", flags->since, "How long ago it begins")->capture_default_str();
  usage->add_option("--until", flags->until, "How long ago it ends; now, if not given");
  usage->add_option("--width", flags->width, "Of a row")
      ->check(CLI::IsMember({"1m", "1h", "1d"}))
      ->capture_default_str();
  usage->add_option("--group-by", flags->group_by, "project, api_key, model, adapter, source")
      ->delimiter(',')
      ->check(CLI::IsMember({"project", "api_key", "model", "adapter", "source"}))
      ->capture_default_str();
  usage->add_flag("--json", flags->json, "One JSON object a line");
  usage->add_flag("--csv", flags->csv, "Comma-separated values");
}

}  // namespace hearth::apps
