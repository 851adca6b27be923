#include "forge/agent/log_shipper.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

#include "base/error.h"
#include "forge/agent/process_executor.h"
#include "forge/agent/run_folder.h"
#include "forge/client/leader_client.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPartBytes = size_t{256} << 10;
constexpr Millis kAwayPauseMs = 5'000;       // before a server that was away is asked again
constexpr Millis kGivenUpAfterMs = 600'000;  // then the others' having all of it is enough

std::string read_part(const std::string& path, int64_t offset) {
  std::ifstream in(path, std::ios::binary);
  if (!in || !in.seekg(offset)) return {};
  std::string part(kPartBytes, '\0');
  in.read(part.data(), static_cast<std::streamsize>(part.size()));
  part.resize(static_cast<size_t>(in.gcount()));
  return part;
}

}  // namespace

LogShipper::LogShipper(std::string state_dir, const ServerPlace& servers, const std::string& node)
    : state_dir_(std::move(state_dir)),
      token_(servers.token),
      answer_ms_(silence_of(servers.url, servers.answer_ms, kAwayPauseMs)) {
  for (const std::string& url : server_list(servers.url)) {
    targets_.push_back({.url = fmt::format("{}/v1/forge/agents/{}/logs", url, node),
                        .http = transport::make_http_client()});
  }
}

void LogShipper::ship() {
  const std::string current =
      io::file_exists(state_dir_ + "/incarnation")
          ? std::to_string(std::stoll(io::read_file(state_dir_ + "/incarnation")))
          : "";
  for (const fs::directory_entry& life : fs::directory_iterator(state_dir_ + "/runs")) {
    for (const fs::directory_entry& run : fs::directory_iterator(life.path()))
      ship_run(run.path().string(), current);
    std::error_code ignored;
    if (life.path().filename() != current && fs::is_empty(life.path(), ignored))
      fs::remove(life.path(), ignored);
  }
}

// A folder that is over and sent loses its logs; in an earlier life, everything.
void LogShipper::ship_run(const std::string& folder, const std::string& incarnation) {
  if (done_.contains(folder)) return;
  long job = 0, epoch = 0;
  if (std::sscanf(fs::path(folder).filename().c_str(), "%ld.%ld", &job, &epoch) != 2) return;
  const bool of_now = fs::path(folder).parent_path().filename() == incarnation;
  const bool over = !of_now || read_exit(folder).has_value();
  bool all_sent = true;
  std::vector<fs::path> logs;
  for (const fs::directory_entry& file : fs::directory_iterator(folder)) {
    int rank = 0;
    char rest = 0;
    const std::string name = file.path().filename().string();
    if (std::sscanf(name.c_str(), "%d.lo%c", &rank, &rest) != 2) continue;
    logs.push_back(file.path());
    const std::string query = fmt::format("job={}&epoch={}&rank={}", job, epoch, rank);
    all_sent = ship_to_all(file.path().string(), query) && all_sent;
  }
  if (!over || !all_sent) return;
  std::error_code ignored;
  if (!of_now) {
    fs::remove_all(folder, ignored);
    return;
  }
  for (const fs::path& log : logs) forget(log.string()), fs::remove(log, ignored);
  done_.insert(folder);
}

void LogShipper::forget(const std::string& path) {
  for (Target& target : targets_) target.sent.erase(path);
}

bool LogShipper::ship_to_all(const std::string& path, const std::string& query) {
  const Millis now = boot_millis();
  bool all = true, any = false;
  for (Target& target : targets_) {
    const bool resting = target.away_since >= 0 && now < target.ask_again_at;
    bool sent = false;
    try {
      sent = !resting && ship_file(target, path, query);
    } catch (const Error& error) {
      if (error.code != ErrorCode::kIo || targets_.size() == 1) throw;
      if (target.away_since < 0) target.away_since = now;
      target.ask_again_at = now + kAwayPauseMs;
    }
    const bool given_up = target.away_since >= 0 && now > target.away_since + kGivenUpAfterMs;
    all = all && (sent || given_up);
    any = any || sent;
  }
  const auto away = [](const Target& target) { return target.away_since >= 0; };
  if (std::all_of(targets_.begin(), targets_.end(), away))
    throw_error(ErrorCode::kIo, targets_[0].url, "no server takes logs, nor do the others");
  return all && any;
}

// True: the server has all that there is now.
bool LogShipper::ship_file(Target& target, const std::string& path,
                           const std::string& query) const {
  int64_t& sent = target.sent[path];
  for (;;) {
    std::error_code gone;
    const auto size = static_cast<int64_t>(fs::file_size(path, gone));
    if (gone || size <= sent) return true;
    const transport::HttpResponse answer =
        target.http->send({.method = "POST",
                           .url = fmt::format("{}?{}&offset={}", target.url, query, sent),
                           .headers = {{"Authorization", "Bearer " + token_}},
                           .body = read_part(path, sent),
                           .connect_timeout_ms = answer_ms_,
                           .silence_timeout_ms = answer_ms_});
    target.away_since = -1;
    if (answer.status != 200) return false;
    const auto has = io::json_require<int64_t>(io::parse_json(answer.body, "logs"), "size", "logs");
    if (has == sent) return false;
    sent = has;  // or less than it had: its disk was lost
  }
}

}  // namespace hearth::forge
