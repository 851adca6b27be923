#include "forge/checkpoint/process_tree.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/file.h"

namespace hearth::forge {
namespace {

// A program would not do as the first process of a namespace itself: signals whose meaning it
// leaves as it is do not reach that one, and orphans become its children. A shell of the system
// stays the same file when Hearth is upgraded between a dump and its restore.
constexpr const char* kInit = R"("$@" 3>&- &
child=$!
trap 'kill -TERM $child' TERM
while :; do
  wait $child
  status=$?
  kill -0 $child 2>&- || break
done
echo $status >&3
exit $status)";

pid_t clone_into_namespace(int more) {
  return static_cast<pid_t>(
      syscall(SYS_clone, CLONE_NEWPID | SIGCHLD | more, nullptr, nullptr, nullptr, 0));
}

}  // namespace

pid_t fork_into_namespace() { return clone_into_namespace(0); }

std::vector<std::string> under_init(const std::vector<std::string>& command) {
  std::vector<std::string> words{"/bin/sh", "-c", kInit, "hearth-init"};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    std::ifstream in(task.path() / "children");
    for (pid_t child = 0; in >> child;) out.push_back(child);
  }
  return out;
}

std::vector<pid_t> tree_of(pid_t pid) {
  std::vector<pid_t> out{pid};
  for (size_t at = 0; at < out.size(); ++at) {
    for (pid_t child : children_of(out[at])) out.push_back(child);
  }
  return out;
}

int64_t resident_bytes(const std::vector<pid_t>& pids) {
  int64_t pages = 0;
  for (pid_t pid : pids) {
    std::ifstream in(fmt::format("/proc/{}/statm", pid));
    int64_t size = 0, resident = 0;
    if (in >> size >> resident) pages += resident;
  }
  return pages * sysconf(_SC_PAGESIZE);
}

ino_t pipe_of(pid_t pid, int descriptor) {
  struct stat file {};
  if (stat(fmt::format("/proc/{}/fd/{}", pid, descriptor).c_str(), &file) != 0) return 0;
  return S_ISFIFO(file.st_mode) ? file.st_ino : 0;
}

pid_t start_sleeper() {
  // This process waits until the other has become a program.
  const pid_t pid = clone_into_namespace(CLONE_VFORK);
  if (pid != 0) return pid;
  setsid();
  const int nothing = open("/dev/null", O_RDWR);
  for (int descriptor : {0, 1, 2}) dup2(nothing, descriptor);
  close_range(3, ~0U, 0);
  execl("/bin/sleep", "sleep", "1000", nullptr);
  _exit(127);
}

std::string write_script(const std::string& path, const std::string& command) {
  io::write_file_atomic(
      path, fmt::format("#!/bin/sh\n[ \"$CRTOOLS_SCRIPT_ACTION\" = post-resume ] || exit 0\n{}\n",
                        command));
  chmod(path.c_str(), 0700);
  return path;
}

}  // namespace hearth::forge
