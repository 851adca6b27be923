// A real etcd for unit tests, where the machine has one: HEARTH_ETCD, in PATH, or where
// tests/forge unpacked it. One for the whole program; each test has a prefix of its own.
#pragma once

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <netinet/in.h>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "forge/etcd/etcd.h"

namespace hearth::forge {

inline std::string find_etcd() {
  namespace fs = std::filesystem;
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (!variable("HEARTH_ETCD").empty()) return variable("HEARTH_ETCD");
  std::string folders = variable("PATH") + ":";
  for (size_t at = 0, end; (end = folders.find(':', at)) != std::string::npos; at = end + 1) {
    const std::string program = folders.substr(at, end - at) + "/etcd";
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  const std::string cache = variable("XDG_CACHE_HOME").empty() ? variable("HOME") + "/.cache"
                                                               : variable("XDG_CACHE_HOME");
  std::error_code absent;
  for (const auto& folder : fs::directory_iterator(cache + "/hearth-tests", absent)) {
    const std::string program = folder.path().string() + "/usr/bin/etcd";
    if (folder.path().filename().string().starts_with("etcd-") &&
        access(program.c_str(), X_OK) == 0)
      return program;
  }
  return {};
}

class RealEtcd {
 public:
  // Null: this machine has none.
  static RealEtcd* get() {
    static RealEtcd etcd(find_etcd());
    return etcd.pid_ > 0 ? &etcd : nullptr;
  }

  EtcdOptions options() {
    return {.urls = {url_}, .prefix = fmt::format("/test/{}", ++prefixes_), .lease_s = 60};
  }
  const Clock& clock() const { return clock_; }

 private:
  explicit RealEtcd(const std::string& program) {
    if (program.empty()) return;
    std::string folder = std::filesystem::temp_directory_path().string() + "/hearth-etcd-XXXXXX";
    if (!mkdtemp(folder.data())) return;
    folder_ = folder;
    url_ = fmt::format("http://127.0.0.1:{}", free_port());
    const std::string peer = fmt::format("http://127.0.0.1:{}", free_port());
    start({program, "--data-dir", folder + "/data", "--listen-client-urls", url_,
           "--advertise-client-urls", url_, "--listen-peer-urls", peer,
           "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer});
    for (int tries = 0; tries < 200; ++tries) {
      try {
        Etcd(options()).get("x");
        return;
      } catch (const Error&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    }
    throw_error(ErrorCode::kUnavailable, program, "does not answer; see {}/log", folder_);
  }
  ~RealEtcd() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  void start(std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string log = folder_ + "/log";
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1), dup2(out, 2);
    execv(argv[0], argv.data());
    _exit(127);
  }
  static int free_port() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    close(fd);
    return ntohs(address.sin_port);
  }

  SystemClock clock_;
  std::string folder_;
  std::string url_;
  pid_t pid_ = 0;
  int prefixes_ = 0;
};

}  // namespace hearth::forge
