#include "forge/checkpoint/criu.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "forge/checkpoint/process_image.h"
#include "forge/checkpoint/process_tree.h"
#include "forge/codec/binary.h"
#include "io/file.h"

namespace hearth::forge {

template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Criu>
void fields(A& a, T& v) { a(v.program, v.shim, v.text); }

namespace {

namespace fs = std::filesystem;

constexpr const char* kShimName = "libhearth_criu.so";
constexpr const char* kDumpLog = "dump.log";
constexpr const char* kRestoreLog = "restore.log";
// Files that are open and have no name any more, up to this size, are part of an image.
constexpr const char* kGhostBytesMax = "268435456";
constexpr int kProbeMsMax = 10'000;  // for each thing that a probe waits for
constexpr int kProbeLookMs = 10;

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const char* path = std::getenv("PATH");
  std::istringstream folders(fmt::format("{}:/usr/sbin:/sbin:/usr/local/sbin", path ? path : ""));
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string found = folder + "/" + name;
    if (access(found.c_str(), X_OK) == 0) return found;
  }
  return {};
}

// Beside this program, where the build puts it.
std::string find_shim() {
  std::error_code failed;
  const fs::path own = fs::read_symlink("/proc/self/exe", failed);
  const std::string shim = (own.parent_path() / kShimName).string();
  return !failed && fs::exists(shim) ? shim : "";
}

[[noreturn]] void execute(const Criu& criu, std::vector<std::string> words) {
  if (!criu.shim.empty()) setenv("LD_PRELOAD", criu.shim.c_str(), 1);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(criu.program.c_str(), argv.data());
  _exit(127);
}

std::vector<std::string> common_words(const Criu& criu, const char* verb, const std::string& folder,
                                      Connections connections, const char* log) {
  std::vector<std::string> words{criu.program, verb, "--images-dir", folder,         "-v1",
                                 "-o",         log,  "--file-locks", "--ext-unix-sk"};
  // Where its processes are is for the keeper to say.
  words.emplace_back("--manage-cgroups=ignore");
  if (connections == Connections::kClose) words.emplace_back("--tcp-close");
  return words;
}

std::string version_of(const std::string& program) {
  FILE* out = popen(fmt::format("'{}' --version 2>/dev/null", program).c_str(), "re");
  if (!out) return "?";
  std::array<char, 128> line{};
  const bool read = std::fgets(line.data(), line.size(), out) != nullptr;
  pclose(out);
  const std::string text = read ? line.data() : "";
  const size_t colon = text.find(": ");
  return colon == std::string::npos ? "?" : text.substr(colon + 2, text.find('\n') - colon - 2);
}

bool alive(pid_t root) { return root > 0 && kill(root, 0) == 0; }

pid_t wait_for_child(pid_t parent) {
  for (int waited = 0; waited < kProbeMsMax; waited += kProbeLookMs) {
    const std::vector<pid_t> children = children_of(parent);
    if (!children.empty()) return children[0];
    if (waitpid(parent, nullptr, WNOHANG) == parent) return 0;
    usleep(kProbeLookMs * 1'000);
  }
  return 0;
}

bool wait_for_file(const std::string& path, pid_t by) {
  for (int waited = 0; waited < kProbeMsMax; waited += kProbeLookMs) {
    if (io::file_exists(path)) return true;
    if (waitpid(by, nullptr, WNOHANG) == by) return io::file_exists(path);
    usleep(kProbeLookMs * 1'000);
  }
  return false;
}

void end_child(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

void remove_trial(const std::string& folder) {
  remove_flat(folder + "/images");
  remove_flat(folder);
}

// Throws what is in the way.
void try_whole_way(const Criu& criu, const std::string& folder) {
  const std::string images = folder + "/images", there = folder + "/restored";
  remove_trial(folder);
  fs::create_directories(images);
  const pid_t root = start_sleeper();
  try {
    dump_processes(criu, {.root = root, .folder = images, .after = AfterDump::kStaysStopped});
  } catch (...) {
    end_child(root);
    throw;
  }
  end_child(root);
  const std::string script = write_script(folder + "/after", fmt::format(": >'{}'", there));
  const pid_t restorer = fork();
  if (restorer == 0) {
    setsid();
    become_restorer(criu, {.folder = images, .pipes = {}, .after = script});
  }
  const bool back = wait_for_file(there, restorer) && alive(wait_for_child(restorer));
  for (pid_t pid : children_of(restorer)) kill(pid, SIGKILL);
  end_child(restorer);
  if (!back)
    throw_error(ErrorCode::kUnavailable, "criu restore", "{}",
                complaint(images + "/" + kRestoreLog));
}

std::string kernel() {
  utsname name{};
  uname(&name);
  return name.release;
}

// Two CRIUs that learn at once what the kernel can do get in each other's way: the agents of one
// machine try it one after the other.
class ProbeTurn {
 public:
  ProbeTurn() : file_(open("/run/hearth-criu.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (file_ >= 0) flock(file_, LOCK_EX);
  }
  ~ProbeTurn() {
    if (file_ >= 0) close(file_);
  }
  ProbeTurn(const ProbeTurn&) = delete;
  ProbeTurn& operator=(const ProbeTurn&) = delete;

 private:
  int file_;
};

}  // namespace

Criu probe_criu(const std::string& program, const std::string& folder) {
  if (geteuid() != 0)
    return {.text = "processes cannot be saved: CRIU needs root; run this agent as root"};
  const std::string found = find_program(program);
  if (found.empty()) {
    return {.text = fmt::format("processes cannot be saved: there is no '{}'; install Debian's "
                                "package criu, or name one with --criu",
                                program)};
  }
  const ProbeTurn turn;
  const std::string version = version_of(found), shim = find_shim();
  std::string why;
  for (const bool shimmed : {false, true}) {
    if (shimmed && shim.empty()) break;
    Criu criu{.program = found, .shim = shimmed ? shim : "", .text = {}};
    try {
      try_whole_way(criu, folder);
      remove_trial(folder);
      criu.text = fmt::format("processes can be saved: CRIU {} ({}{}) on kernel {}", version, found,
                              shimmed ? ", with Hearth's shim" : "", kernel());
      return criu;
    } catch (const Error& error) {
      if (!why.empty()) why += "; with Hearth's shim: ";
      why += error.text;
    }
  }
  remove_trial(folder);
  return {
      .text = fmt::format(
          "processes cannot be saved: CRIU {} ({}) on kernel {} says: {}. Name a newer one with "
          "--criu (4.2 for kernels of 2025){}",
          version, found, kernel(), why,
          shim.empty() ? fmt::format(", or put {} beside this program", kShimName) : "")};
}

void write_criu(const std::string& path, const Criu& criu) {
  codec::Writer out;
  out.put(criu);
  io::write_file_atomic(path, out.bytes());
}

bool read_criu(const std::string& path, Criu& out) {
  if (!io::file_exists(path)) return false;
  const std::string bytes = io::read_file(path);
  codec::Reader(bytes).get(out);
  return true;
}

void dump_processes(const Criu& criu, const DumpOrder& order) {
  const bool goes_on = order.after == AfterDump::kGoesOn;
  std::vector<std::string> words =
      common_words(criu, "dump", order.folder, order.connections, kDumpLog);
  for (const std::string& word : {std::string("--tree"), std::to_string(order.root),
                                  std::string(goes_on ? "--leave-running" : "--leave-stopped"),
                                  std::string("--ghost-limit"), std::string(kGhostBytesMax)})
    words.push_back(word);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execute(criu, words);
  }
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid)
    throw_error(ErrorCode::kIo, criu.program, "cannot be started: {}", std::strerror(errno));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw_error(ErrorCode::kUnavailable, "criu dump", "{}",
                complaint(order.folder + "/" + kDumpLog));
  }
}

void become_restorer(const Criu& criu, const RestoreOrder& order) {
  std::vector<std::string> words =
      common_words(criu, "restore", order.folder, order.connections, kRestoreLog);
  for (const auto& [descriptor, inode] : order.pipes) {
    words.emplace_back("--inherit-fd");
    words.push_back(fmt::format("fd[{}]:pipe:[{}]", descriptor, inode));
  }
  if (!order.after.empty()) {
    words.emplace_back("--action-script");
    words.push_back(order.after);
  }
  execute(criu, words);
}

std::string complaint(const std::string& log_path) {
  std::ifstream log(log_path);
  std::string first;
  for (std::string line; std::getline(log, line);) {
    const size_t error = line.find("Error (");
    if (error == std::string::npos) continue;
    if (line.find("tcp-established") != std::string::npos) {
      return "it has an open TCP connection; close it, or submit the job with "
             "checkpoint.connections "
             "= \"close\", with which it finds its connections closed when it goes on";
    }
    if (line.find("bad size") != std::string::npos ||
        line.find("Can't open file") != std::string::npos)
      return "a file that it has open is not as it was: " + line.substr(line.find("): ") + 3);
    const size_t text = line.find("): ", error);
    if (first.empty() && text != std::string::npos && line.find("util.c") == std::string::npos)
      first = line.substr(text + 3);
  }
  return first.empty() ? fmt::format("it ended without a word; see {}", log_path) : first;
}

}  // namespace hearth::forge
