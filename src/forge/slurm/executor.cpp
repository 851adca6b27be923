#include "forge/slurm/executor.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

constexpr Millis kSettleMs = 5'000;      // for a file written on a node to be seen here
constexpr Millis kKillPatience = 5'000;  // until Slurm is asked to kill what the keeper did not

// True: from now on nobody else starts this run.
bool claim_run(const std::string& folder) {
  const std::string path = folder + "/claimed";
  if (mkdir(path.c_str(), 0750) == 0) return true;
  if (errno != EEXIST)
    throw_error(ErrorCode::kIo, path, "cannot be made: {}", std::strerror(errno));
  return false;
}

bool is_claimed(const std::string& folder) { return io::file_exists(folder + "/claimed"); }

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (char letter : word) out += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return out + "'";
}

// The script is the whole of what Slurm runs. It becomes the keeper, so Slurm's signals reach that.
std::string script_for(const std::string& folder, const std::vector<std::string>& keeper) {
  std::string command;
  for (const std::string& word : keeper) command += quoted(word) + " ";
  return fmt::format(
      "#!/bin/sh\n"
      "# One run of a Forge job. Whoever makes this folder has the run; a second copy does "
      "nothing.\n"
      "mkdir {} || exit 0\n"
      "exec {}--place elsewhere --devices \"${{CUDA_VISIBLE_DEVICES:-none}}\" {}\n",
      quoted(folder + "/claimed"), command, quoted(folder));
}

std::string read_if_there(const std::string& path) {
  return io::file_exists(path) ? io::read_file(path) : std::string();
}

}  // namespace

std::string slurm_name_prefix(const std::string& id) { return "hearth-" + id + "-"; }

SlurmExecutor::SlurmExecutor(SlurmNodeTerms terms, SlurmRegion& region, Millis now)
    : terms_(std::move(terms)), region_(region), now_(now) {
  std::error_code failed;
  fs::create_directories(terms_.state_dir + "/runs", failed);
  if (failed) throw_error(ErrorCode::kIo, terms_.state_dir, "cannot be made: {}", failed.message());
  fence_.emplace(terms_.state_dir + "/fence");
  buried_.emplace(terms_.state_dir + "/buried");
}

std::string SlurmExecutor::runs_dir() const {
  return fmt::format("{}/runs/{}", terms_.state_dir, incarnation_);
}

std::string SlurmExecutor::run_dir(JobId job, Epoch epoch) const {
  return run_folder(runs_dir(), {job, epoch});
}

std::string SlurmExecutor::job_name(JobId job, Epoch epoch) const {
  return fmt::format("{}{}-{}-{}.{}", slurm_name_prefix(terms_.id), terms_.node, incarnation_, job,
                     epoch);
}

// What an earlier bridge ordered is looked for by its name before it is ordered again.
Recovered SlurmExecutor::recover() {
  Recovered out;
  const std::string path = terms_.state_dir + "/incarnation";
  if (!io::file_exists(path)) return out;
  out.incarnation = incarnation_ = std::stoll(io::read_file(path));
  out.memory.fence_at = fence_->recover();
  for (const auto& [job, epoch] : runs_in(runs_dir())) {
    const std::string folder = run_dir(job, epoch);
    if (const std::optional<RunExit> exit = read_exit(folder)) {
      AgentMemory::End& end = out.memory.ends[job];
      if (end.epoch < epoch) end = {epoch, exit->outcome, false};
      continue;
    }
    if (!io::file_exists(folder + "/order")) continue;
    const Start start = read_order(folder).start;
    runs_[{job, epoch}] = {};
    out.memory.running[job] = {epoch, start.slots};
    if (is_claimed(folder)) {
      region_.watch(job_name(job, epoch), now_);
    } else {
      region_.submit_unless_known(order_for(start), now_);
    }
  }
  for (const auto& [job, epoch] : buried_->recover(incarnation_)) {
    AgentMemory::End& end = out.memory.ends[job];
    if (end.epoch < epoch) end = {epoch, Outcome::kKilled, false};
  }
  return out;
}

void SlurmExecutor::begin(Incarnation incarnation) {
  incarnation_ = incarnation;
  runs_.clear();
  io::write_file_atomic(terms_.state_dir + "/incarnation", fmt::format("{}\n", incarnation));
  std::error_code ignored;
  fs::create_directories(runs_dir(), ignored);
}

SlurmOrder SlurmExecutor::order_for(const Start& start) const {
  const std::string folder = run_dir(start.job, start.epoch);
  const auto devices = static_cast<int32_t>(start.slots.size());
  SlurmOrder out{.name = job_name(start.job, start.epoch),
                 .script = folder + "/script",
                 .output = folder + "/slurm.out",
                 .comment = fmt::format("forge job {} epoch {}", start.job, start.epoch),
                 .node = terms_.node};
  if (!terms_.gres.empty()) out.gres = fmt::format("{}:{}", terms_.gres, devices);
  out.cpus = std::max(1, terms_.cpus_per_device * devices);
  out.memory_mb = terms_.memory_mb_per_device * devices;
  return out;
}

void SlurmExecutor::start(const Start& order) {
  const std::string folder = run_dir(order.job, order.epoch);
  if (io::file_exists(folder + "/order") || read_exit(folder)) return;
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  make_room_for_exit(folder);
  io::write_file_atomic(folder + "/script", script_for(folder, terms_.keeper));
  write_order(folder, {.start = order,
                       .node = terms_.node,
                       .fence_path = terms_.state_dir + "/fence",
                       .home = terms_.id + "-" + terms_.node});
  // From here on it is a run, and one that nobody has ordered from Slurm is over.
  const Key key{order.job, order.epoch};
  runs_[key] = {};
  io::sync_folder(runs_dir());
  const bool parts = std::any_of(order.slots.begin(), order.slots.end(),
                                 [](const Slot& slot) { return slot.milli < kWholeDevice; });
  if (parts) {
    claim_run(folder);
    return fail(key,
                "Slurm gives whole devices only: ask for share = 1, or for another cluster in "
                "[place]");
  }
  if (order.program && order.program->checkpoint == CheckpointBy::kProcess) {
    claim_run(folder);
    return fail(key,
                "processes are not saved as they are under Slurm: let the program save itself, or "
                "ask for another cluster in [place]");
  }
  region_.submit(order_for(order));
}

void SlurmExecutor::halt(JobId job, Epoch epoch, StopMode mode) {
  const auto run = runs_.find({job, epoch});
  if (run == runs_.end()) return;
  run->second.asked = mode;
  if (mode == StopMode::kKill && !run->second.killed) {
    run->second.killed = true;
    run->second.killed_at = now_;
  }
  try {
    pass_stop_on(run->first, run->second);
  } catch (const Error& error) {
    log::warn("a request to stop waits job={} epoch={} reason=\"{}\"", job, epoch, error.what());
  }
}

void SlurmExecutor::pass_stop_on(const Key& key, Run& run) {
  const std::string folder = run_dir(key.first, key.second);
  if (claim_run(folder)) {
    write_exit(folder, {Outcome::kKilled, {}, "stopped before it started"});
    region_.cancel(job_name(key.first, key.second));
  } else {
    io::write_file_atomic(folder + "/stop", run.asked == StopMode::kKill ? "kill" : "save");
  }
  run.asked.reset();
}

void SlurmExecutor::bury(JobId job, Epoch epoch) {
  const std::string folder = run_dir(job, epoch);
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  try {
    claim_run(folder);
    if (!read_exit(folder)) write_exit(folder, {Outcome::kKilled, {}, "stopped before it started"});
    io::sync_folder(runs_dir());
  } catch (const Error& error) {
    buried_->add(incarnation_, job, epoch);
    log::warn("a run never started job={} epoch={} reason=\"{}\"", job, epoch, error.what());
  }
}

void SlurmExecutor::set_fence(Millis at) { fence_->set(at); }

// Said where its owner reads it: in the log of its first rank.
void SlurmExecutor::fail(const Key& key, const std::string& why) {
  const std::string folder = run_dir(key.first, key.second);
  const std::string said = read_if_there(folder + "/slurm.out");
  log::warn("a run failed job={} epoch={} node={} reason=\"{}\"", key.first, key.second,
            terms_.node, why);
  const int32_t rank = read_order(folder).start.first_rank;
  std::ofstream(log_path(folder, rank), std::ios::app) << "hearth: " << why << "\n" << said;
  write_exit(folder, {Outcome::kFailed, {}, why});
}

std::vector<Exit> SlurmExecutor::poll(Millis now) {
  now_ = now;
  std::vector<Exit> out;
  for (auto run = runs_.begin(); run != runs_.end();) {
    const auto [job, epoch] = run->first;
    std::optional<RunExit> exit;
    try {
      exit = look_at(run->first, run->second, now);
      run->second.trouble.clear();
    } catch (const Error& error) {
      // A folder that cannot be read or written now is one run's trouble, and perhaps over soon.
      if (run->second.trouble != error.what())
        log::error("a run waits job={} epoch={} reason=\"{}\"", job, epoch, error.what());
      run->second.trouble = error.what();
    }
    if (!exit) {
      ++run;
      continue;
    }
    out.push_back({job, epoch, exit->outcome});
    region_.forget(job_name(job, epoch));
    run = runs_.erase(run);
  }
  return out;
}

// How it ended; nothing while it has not.
std::optional<RunExit> SlurmExecutor::look_at(const Key& key, Run& run, Millis now) {
  const std::string folder = run_dir(key.first, key.second);
  if (std::optional<RunExit> exit = read_exit(folder)) return exit;
  if (run.asked) pass_stop_on(key, run);
  watch_over(key, run, now);
  return read_exit(folder);
}

// There is no word of its end in its folder: what does Slurm say?
void SlurmExecutor::watch_over(const Key& key, Run& run, Millis now) {
  const std::string name = job_name(key.first, key.second), folder = run_dir(key.first, key.second);
  const SlurmNews news = region_.news(name);
  switch (news.fate) {
    case SlurmFate::kUnsaid:
      return;
    case SlurmFate::kRefused:
      if (claim_run(folder)) fail(key, "Slurm refuses it: " + news.text);
      return;
    case SlurmFate::kWaiting:
      if (now < news.since + terms_.start_ms || !claim_run(folder)) return;
      log::warn("Slurm did not start it in time job={} epoch={} node={} state=\"{}\"", key.first,
                key.second, terms_.node, news.text);
      region_.cancel(name);
      return write_exit(folder, {Outcome::kKilled, {}, "Slurm did not start it: " + news.text});
    case SlurmFate::kAlive:
      run.over_since = -1;
      if (run.killed && now >= run.killed_at + kKillPatience) region_.cancel(name);
      return;
    default:
      return settle_over(key, run, news, now);
  }
}

void SlurmExecutor::settle_over(const Key& key, Run& run, const SlurmNews& news, Millis now) {
  const std::string folder = run_dir(key.first, key.second);
  const bool ended = news.fate == SlurmFate::kEnded;
  if (claim_run(folder)) {
    if (ended && news.text.starts_with("COMPLETED")) {
      return fail(key, fmt::format("node {} does not see the folder {}: it must be on a file "
                                   "system that all nodes share",
                                   terms_.node, folder));
    }
    return write_exit(folder, {Outcome::kKilled, {}, "Slurm never started it: " + news.text});
  }
  if (run.over_since < 0) {
    run.over_since = now;
    // A node that Slurm has lost may still run it: whoever can read this ends it.
    if (!ended) io::write_file_atomic(folder + "/stop", "kill");
  }
  // What a lost node does not say in a lease is dead there: its keeper has seen the fence pass, or
  // the order to stop.
  if (now < run.over_since + (ended ? kSettleMs : terms_.lease_ms)) return;
  if (ended && !io::file_exists(folder + "/lock")) {
    return fail(key, fmt::format("no keeper could start on node {}: is {} there?", terms_.node,
                                 terms_.keeper.front()));
  }
  // What would happen again wherever it runs is its owner's business.
  if (news.text.starts_with("OUT_OF_MEMORY") || news.text.starts_with("TIMEOUT"))
    return fail(key, "Slurm ended it: " + news.text);
  write_exit(folder, {Outcome::kKilled, {}, "Slurm ended it: " + news.text});
}

}  // namespace hearth::forge
