#include "forge/agent/worker_process.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "forge/checkpoint/process_tree.h"

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

// What leads from a worker to its keeper, and from the keeper's side: a pipe whose end tells that
// it is gone.
struct Wiring {
  Pipe output, status, gate;
};

// From here on the worker dies with its keeper. In another namespace it cannot see who its parent
// is, so the keeper says that it is there.
void depend_on_keeper(const Wiring& wiring) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(wiring.gate.write);
  char word = 0;
  if (read(wiring.gate.read, &word, 1) != 1) _exit(127);
}

// In the child, of a process with one thread: everything is allowed here.
[[noreturn]] void become(const RunOrder& order, const std::string& directory,
                         std::vector<std::string> command, std::vector<std::string> environment,
                         const Wiring& wiring) {
  setsid();
  depend_on_keeper(wiring);
  dup2(wiring.output.write, STDOUT_FILENO);
  dup2(wiring.output.write, STDERR_FILENO);
  const int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0) dup2(nothing, STDIN_FILENO);
  if (wiring.status.write >= 0) {
    dup2(wiring.status.write, kStatusDescriptor);
    fcntl(kStatusDescriptor, F_SETFD, 0);
    // A descriptor that somebody left open would have to be there where the job goes on.
    close_range(kStatusDescriptor + 1, ~0U, 0);
  }
  join_cgroup(order);
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

// Where the worker begins. One of its own must be where the job goes on, too, if that is elsewhere.
std::string make_directory(const RunOrder& order, const std::string& folder, PidSpace space) {
  if (order.start.program && !order.start.program->directory.empty())
    return order.start.program->directory;
  const std::string work = space == PidSpace::kOwn
                               ? fmt::format("{}/{}/work", order.images, order.start.job)
                               : folder + "/work";
  std::error_code failed;
  std::filesystem::create_directories(work, failed);
  if (failed) throw_error(ErrorCode::kIo, work, "cannot be made: {}", failed.message());
  return work;
}

}  // namespace

std::vector<std::string> worker_environment(const RunOrder& order, int32_t rank,
                                            std::span<const Slot> slots) {
  const Start& start = order.start;
  const std::string devices = device_list(slots);
  std::vector<std::string> out{
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
      fmt::format("HEARTH_PORT={}", service_port(start.job)),
  };
  if (!order.device_variable.empty()) out.push_back(order.device_variable + "=" + devices);
  // A process that goes on elsewhere takes its environment along, and a later run of the job must
  // not be mistaken for this one: a namespace holds it together instead.
  if (!start.program || start.program->checkpoint != CheckpointBy::kProcess)
    out.push_back(run_mark(order));
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
      {"{port}", std::to_string(service_port(order.start.job))},
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

Pipe make_pipe(const std::string& folder) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw_error(ErrorCode::kIo, folder, "no pipe: {}", std::strerror(errno));
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {ends[0], ends[1]};
}

void join_cgroup(const RunOrder& order) {
  if (order.cgroup.empty()) return;
  mkdir(cgroup_of(order).c_str(), 0755);
  std::ofstream procs(cgroup_of(order) + "/cgroup.procs");
  procs << 0;
}

WorkerProcess start_worker(const RunOrder& order, const std::string& folder, int32_t rank,
                           std::span<const Slot> slots, PidSpace space) {
  const bool apart = space == PidSpace::kOwn;
  Wiring wiring{make_pipe(folder), apart ? make_pipe(folder) : Pipe{}, make_pipe(folder)};
  fcntl(wiring.gate.read, F_SETFL, 0);
  const std::string directory = make_directory(order, folder, space);
  std::vector<std::string> command = worker_command(order, rank, slots);
  if (apart) command = under_init(command);
  const pid_t pid = apart ? fork_into_namespace() : fork();
  if (pid < 0) throw_error(ErrorCode::kIo, folder, "no process: {}", std::strerror(errno));
  if (pid == 0) {
    become(order, directory, std::move(command),
           merged(environ, worker_environment(order, rank, slots)), wiring);
  }
  (void)!write(wiring.gate.write, "!", 1);
  for (int end : {wiring.gate.read, wiring.gate.write, wiring.output.write, wiring.status.write})
    close(end);
  return {pid, wiring.output.read, wiring.status.read};
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
