#include "forge/agent/process_executor.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <spawn.h>
#include <sstream>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "forge/agent/back_end.h"
#include "forge/agent/run_folder.h"
#include "forge/agent/worker_process.h"
#include "io/file.h"

extern char** environ;

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

constexpr Millis kSignalAgainMs = 500;
constexpr Millis kKillPatienceMs = 1'000;

std::string boot_id() {
  std::string id = io::read_file("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

// A word of this folder, for ever. Other Forges, and other agents, have jobs of the same numbers on
// the same machine, whose processes are none of this agent's.
std::string home_in(const std::string& dir) {
  const std::string path = dir + "/home";
  if (!io::file_exists(path)) {
    uint32_t word = 0;
    if (getrandom(&word, sizeof word, 0) != static_cast<ssize_t>(sizeof word))
      throw_error(ErrorCode::kIo, path, "the machine gives no randomness");
    io::write_file_atomic(path, fmt::format("{:08x}", word));
  }
  return io::read_file(path);
}

// A run whose keeper is gone: what it left alive dies, and its end is written down. False: some
// process does not die yet.
bool end_orphans(const std::string& folder, const RunOrder& order) {
  const int lock = lock_run(folder);
  if (lock < 0) return false;
  kill_cgroup(order);
  const RunRoot root = read_root(folder);
  if (is_alive(root)) kill(root.pid, SIGKILL);
  const bool dead = kill_marked(run_mark(order), kKillPatienceMs) && !is_alive(root);
  if (dead) kill_cgroup(order);  // empty now, so it goes
  if (dead) make_back_end(order, folder)->clean_up({});
  if (dead && !read_exit(folder))
    write_exit(folder, {Outcome::kKilled, {}, "its keeper was killed", read_image(folder)});
  close(lock);
  return dead;
}

}  // namespace

// False as well where its end cannot be written down yet: until then it counts as alive.
bool ProcessExecutor::bury_orphans(const std::string& folder, Run& run) {
  try {
    return end_orphans(folder, read_order(folder));
  } catch (const Error& error) {
    if (run.trouble != error.what()) log::error("a run's end waits: {}", error.what());
    run.trouble = error.what();
    return false;
  }
}

Millis boot_millis() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<Millis>(now.tv_sec) * 1'000 + now.tv_nsec / 1'000'000;
}

ProcessExecutor::ProcessExecutor(ProcessExecutorOptions options) : options_(std::move(options)) {
  const std::string& dir = options_.state_dir;
  std::error_code failed;
  // Orders hold the jobs' environment.
  if (fs::create_directories(dir, failed)) fs::permissions(dir, fs::perms::owner_all, failed);
  if (!failed) fs::create_directories(dir + "/runs", failed);
  if (failed) throw_error(ErrorCode::kIo, dir, "cannot be made: {}", failed.message());
  lock_ = open((dir + "/agent.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0 || flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    throw_error(ErrorCode::kUnavailable, dir,
                "another agent works there; stop it, or give this one its own --state");
  }
  fence_.emplace(dir + "/fence");
  buried_.emplace(dir + "/buried");
  home_ = home_in(dir);
  if (options_.cgroups.empty()) return;
  cgroup_ = fmt::format("{}/hearth-{}-{}", options_.cgroups, options_.node, home_);
  mkdir(cgroup_.c_str(), 0755);
}

ProcessExecutor::~ProcessExecutor() { close(lock_); }

std::string ProcessExecutor::runs_dir() const {
  return fmt::format("{}/runs/{}", options_.state_dir, incarnation_);
}

std::string ProcessExecutor::run_dir(JobId job, Epoch epoch) const {
  return run_folder(runs_dir(), {job, epoch});
}

Recovered ProcessExecutor::recover() {
  Recovered out;
  const std::string path = options_.state_dir + "/incarnation";
  if (!io::file_exists(path)) return out;
  std::istringstream text(io::read_file(path));
  std::string boot;
  text >> incarnation_ >> boot;
  // Earlier programs wrote no boot down; what they left may be running.
  if (!boot.empty() && boot != boot_id()) return out;
  out.incarnation = incarnation_;
  out.memory.fence_at = fence_->recover();
  for (const auto& [job, epoch] : runs_in(runs_dir())) {
    const std::string folder = run_dir(job, epoch);
    std::optional<RunExit> exit = read_exit(folder);
    if (!exit && io::file_exists(folder + "/order")) {
      const RunOrder order = read_order(folder);
      Run run;
      if (run_keeper(folder) != 0 || !bury_orphans(folder, run)) {
        running_[{job, epoch}] = run;
        out.memory.running[job] = {.epoch = epoch, .slots = order.start.slots};
        continue;
      }
      exit = read_exit(folder);
    }
    if (!exit) continue;
    AgentMemory::End& end = out.memory.ends[job];
    if (end.epoch < epoch) end = {epoch, exit->outcome, false, exit->image};
  }
  for (const auto& [job, epoch] : buried_->recover(incarnation_)) {
    AgentMemory::End& end = out.memory.ends[job];
    if (end.epoch < epoch) end = {epoch, Outcome::kKilled, false};
  }
  log::info("agent is back incarnation={} running={} ended={}", incarnation_,
            out.memory.running.size(), out.memory.ends.size());
  return out;
}

void ProcessExecutor::begin(Incarnation incarnation) {
  incarnation_ = incarnation;
  running_.clear();
  io::write_file_atomic(options_.state_dir + "/incarnation",
                        fmt::format("{} {}\n", incarnation, boot_id()));
  std::error_code ignored;
  fs::create_directories(runs_dir(), ignored);
}

void ProcessExecutor::start(const Start& order) {
  const std::string folder = run_dir(order.job, order.epoch);
  if (io::file_exists(folder + "/order") || read_exit(folder)) return;
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  make_room_for_exit(folder);
  write_order(folder, {order, options_.node, options_.state_dir + "/fence", cgroup_,
                       options_.device_variable, options_.state_dir + "/criu", options_.images,
                       options_.cuda_driver, home_});
  // From here on it is a run, and if nobody keeps it, it is over.
  Run& run = running_[{order.job, order.epoch}] = {};
  io::sync_folder(runs_dir());
  run.keeper = spawn_keeper(folder);
}

pid_t ProcessExecutor::spawn_keeper(const std::string& folder) const {
  std::vector<std::string> words = options_.keeper;
  words.push_back(folder);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 0, 1);
  posix_spawn_file_actions_addopen(&files, 2, (folder + "/keeper.log").c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0640);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  pid_t pid = 0;
  const int failed = posix_spawnp(&pid, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    log::error("no keeper folder={} reason=\"{}\"", folder, std::strerror(failed));
    write_exit(folder, {Outcome::kFailed, {}, "no keeper could be started"});
    return 0;
  }
  return pid;
}

void ProcessExecutor::halt(JobId job, Epoch epoch, StopMode mode) {
  const auto run = running_.find({job, epoch});
  if (run == running_.end()) return;
  run->second.mode = mode;
  run->second.halted_at = boot_millis();
  signal(run->first, run->second);
}

// A keeper that has not come as far as its lock hears it the next time.
void ProcessExecutor::signal(const Key& key, const Run& run) const {
  const pid_t keeper = run_keeper(run_dir(key.first, key.second));
  if (keeper > 0) kill(keeper, run.mode == StopMode::kCheckpoint ? SIGTERM : SIGINT);
}

void ProcessExecutor::retell(const Key& key, Run& run) const {
  for (const std::string& line : told(run_dir(key.first, key.second), run.told))
    log::info("job={} epoch={} {}", key.first, key.second, line);
}

void ProcessExecutor::bury(JobId job, Epoch epoch) {
  const std::string folder = run_dir(job, epoch);
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  try {
    if (!read_exit(folder)) write_exit(folder, {Outcome::kKilled, {}, "stopped before it started"});
    io::sync_folder(runs_dir());
  } catch (const Error& error) {
    buried_->add(incarnation_, job, epoch);
    log::warn("a run never started job={} epoch={} reason=\"{}\"", job, epoch, error.what());
  }
}

void ProcessExecutor::set_fence(Millis at) { fence_->set(at); }

std::vector<Exit> ProcessExecutor::poll(Millis now) {
  std::vector<Exit> out;
  for (auto run = running_.begin(); run != running_.end();) {
    const auto [job, epoch] = run->first;
    const std::string folder = run_dir(job, epoch);
    std::optional<RunExit> exit = read_exit(folder);
    retell(run->first, run->second);
    const bool own = run->second.keeper > 0;
    if (own && waitpid(run->second.keeper, nullptr, WNOHANG) == run->second.keeper)
      run->second.keeper = 0, exit = read_exit(folder);
    const bool watched = run->second.keeper > 0 || run_keeper(folder) != 0;
    if (!exit && !watched && bury_orphans(folder, run->second)) exit = read_exit(folder);
    if (exit && run->second.keeper == 0) {
      out.push_back({job, epoch, exit->outcome, exit->image});
      run = running_.erase(run);
      continue;
    }
    if (const ImageRef image = read_image(folder); image != run->second.image) {
      run->second.image = image;
      images_.push_back({job, image});
    }
    if (run->second.halted_at >= 0 && now >= run->second.halted_at + kSignalAgainMs) {
      run->second.halted_at = now;
      signal(run->first, run->second);
    }
    ++run;
  }
  return out;
}

std::vector<NewImage> ProcessExecutor::take_images() { return std::exchange(images_, {}); }

}  // namespace hearth::forge
