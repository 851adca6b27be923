#include "forge/agent/worker_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <fstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

extern char** environ;

namespace hearth::forge {
namespace {

std::string device_list(std::span<const Slot> slots) {
  std::string out;
  for (const Slot& slot : slots) out += fmt::format("{}{}", out.empty() ? "" : ",", slot.device);
  return out;
}

std::string cgroup_of(const RunOrder& order) {
  return fmt::format("{}/{}.{}", order.cgroup, order.start.job, order.start.epoch);
}

// Later ones replace earlier ones of the same name.
std::vector<std::string> merged(char** own, const std::vector<std::string>& added) {
  std::vector<std::string> out;
  const auto put = [&](const std::string& entry) {
    const std::string name = entry.substr(0, entry.find('=') + 1);
    for (std::string& old : out) {
      if (old.starts_with(name)) {
        old = entry;
        return;
      }
    }
    out.push_back(entry);
  };
  for (char** entry = own; *entry; ++entry) put(*entry);
  for (const std::string& entry : added) put(entry);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void give_up(const std::string& what) {
  const std::string text = fmt::format("hearth: {}: {}\n", what, std::strerror(errno));
  (void)!write(STDERR_FILENO, text.data(), text.size());
  _exit(127);
}

// In the child, of a process with one thread: everything is allowed here.
[[noreturn]] void become(const RunOrder& order, const std::string& directory,
                         std::vector<std::string> command, std::vector<std::string> environment,
                         int output, pid_t keeper) {
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != keeper) _exit(127);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  if (!order.cgroup.empty()) {
    std::ofstream procs(cgroup_of(order) + "/cgroup.procs");
    procs << 0;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGHUP, SIG_DFL);
  std::signal(SIGPIPE, SIG_DFL);
  if (chdir(directory.c_str()) != 0) give_up("folder '" + directory + "'");
  std::vector<char*> argv = pointers(command), env = pointers(environment);
  execvpe(argv[0], argv.data(), env.data());
  give_up("command '" + command[0] + "'");
}

}  // namespace

std::vector<std::string> worker_environment(const RunOrder& order, int32_t rank,
                                            std::span<const Slot> slots) {
  const Start& start = order.start;
  const std::string devices = device_list(slots);
  std::vector<std::string> out{
      run_mark(start.job, start.epoch, start.incarnation),
      fmt::format("HEARTH_JOB={}", start.job),
      fmt::format("HEARTH_EPOCH={}", start.epoch),
      "HEARTH_NODE=" + order.node,
      fmt::format("HEARTH_RANK={}", rank),
      fmt::format("HEARTH_WORLD_SIZE={}", start.world),
      fmt::format("HEARTH_LOCAL_RANK={}", rank - start.first_rank),
      fmt::format("HEARTH_LOCAL_WORKERS={}", start.slots.size()),
      fmt::format("HEARTH_WORKERS={}", slots.size()),
      "HEARTH_DEVICES=" + devices,
      fmt::format("HEARTH_SHARE={}", slots[0].milli),
      "HEARTH_MEET_AT=" + start.meet_at,
  };
  if (!order.device_variable.empty()) out.push_back(order.device_variable + "=" + devices);
  if (start.program) {
    out.insert(out.end(), start.program->environment.begin(), start.program->environment.end());
  }
  return out;
}

std::vector<std::string> worker_command(const RunOrder& order, int32_t rank,
                                        std::span<const Slot> slots) {
  const std::pair<std::string, std::string> values[] = {
      {"{rank}", std::to_string(rank)},
      {"{world}", std::to_string(order.start.world)},
      {"{workers}", std::to_string(slots.size())},
      {"{devices}", device_list(slots)},
  };
  std::vector<std::string> words =
      order.start.program ? order.start.program->command : std::vector<std::string>{"true"};
  for (std::string& word : words) {
    for (const auto& [name, value] : values) {
      for (size_t at = 0; (at = word.find(name, at)) != std::string::npos; at += value.size())
        word.replace(at, name.size(), value);
    }
  }
  return words;
}

WorkerProcess start_worker(const RunOrder& order, const std::string& folder, int32_t rank,
                           std::span<const Slot> slots) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw_error(ErrorCode::kIo, folder, "no pipe: {}", std::strerror(errno));
  if (!order.cgroup.empty()) mkdir(cgroup_of(order).c_str(), 0755);
  const std::string work = folder + "/work";
  const bool own = !order.start.program || order.start.program->directory.empty();
  if (own) mkdir(work.c_str(), 0750);
  const pid_t keeper = getpid();
  const pid_t pid = fork();
  if (pid < 0) throw_error(ErrorCode::kIo, folder, "no process: {}", std::strerror(errno));
  if (pid == 0) {
    become(order, own ? work : order.start.program->directory, worker_command(order, rank, slots),
           merged(environ, worker_environment(order, rank, slots)), ends[1], keeper);
  }
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {pid, ends[0]};
}

void kill_cgroup(const RunOrder& order) {
  if (order.cgroup.empty()) return;
  std::ofstream(cgroup_of(order) + "/cgroup.kill") << 1;
  rmdir(cgroup_of(order).c_str());
}

std::string find_cgroup() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, folder, type, rest;
       mounts >> device >> folder >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2" && access((folder + "/cgroup.procs").c_str(), W_OK) == 0 &&
        access(folder.c_str(), W_OK) == 0) {
      return folder;
    }
  }
  return {};
}

}  // namespace hearth::forge
