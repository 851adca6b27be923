#include "forge/server/server.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "forge/core/policy.h"
#include "forge/server/api.h"
#include "forge/server/sqlite_store.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

constexpr int64_t kStopMs = 2'000;

// Held until this process ends.
int lock_folder(const std::string& dir) {
  std::error_code failed;
  // The store holds the jobs' environment.
  const bool made = std::filesystem::create_directories(dir, failed);
  if (made) std::filesystem::permissions(dir, std::filesystem::perms::owner_all, failed);
  if (failed) throw_error(ErrorCode::kIo, dir, "cannot be made: {}", failed.message());
  const int fd = open((dir + "/forge.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw_error(ErrorCode::kIo, dir, "cannot be written: {}", std::strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    throw_error(ErrorCode::kUnavailable, dir,
                "another Forge server works there; stop it, or give this one its own --data");
  }
  return fd;
}

}  // namespace

std::string token_in(const std::string& data_dir) {
  const std::string path = data_dir + "/forge.token";
  if (!io::file_exists(path)) {
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random))
      throw_error(ErrorCode::kIo, path, "the machine gives no randomness");
    std::string token;
    for (unsigned char byte : random) token += fmt::format("{:02x}", byte);
    // Made unreadable for others before it has contents.
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool written =
        fd >= 0 && write(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size());
    if (fd >= 0) close(fd);
    if (!written) throw_error(ErrorCode::kIo, path, "cannot be written: {}", std::strerror(errno));
  }
  std::string token = io::read_file(path);
  while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
  if (token.empty())
    throw_error(ErrorCode::kInvalidArgument, path, "is empty; remove it and start again");
  return token;
}

FleetSpec single_fleet() {
  FleetSpec fleet;
  fleet.kinds = {{"cpu", 0, 0}};
  fleet.regions = {{"local", 0}};
  fleet.clusters = {{"local", 0}};
  fleet.virtual_clusters = {{"default", -1, 0}};
  return fleet;
}

struct Server::Impl {
  Impl(ServerOptions given, const Clock& clock)
      : options(std::move(given)),
        lock(lock_folder(options.data_dir)),
        token(token_in(options.data_dir)),
        store(options.data_dir + "/forge.db"),
        logs(options.data_dir + "/logs"),
        control(store, options.fleet, policy_named(options.policy), options.terms,
                clock.wall() / kMillisecond),
        loop(control, store, clock),
        api(loop, logs, token, options.page),
        http(options.http, [this](auto exchange) { api.handle(std::move(exchange)); }) {}
  ~Impl() { close(lock); }

  ServerOptions options;
  int lock;
  std::string token;
  SqliteStore store;
  LogStore logs;
  Control control;
  Loop loop;
  Api api;
  transport::HttpServer http;
};

Server::Server(ServerOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

Server::~Server() { stop(); }

void Server::start() {
  impl_->loop.start();
  impl_->http.start();
}

void Server::stop() {
  impl_->loop.stop();
  impl_->http.stop(kStopMs);
}

uint16_t Server::port() const { return impl_->http.port(); }
const std::string& Server::token() const { return impl_->token; }

}  // namespace hearth::forge
