#include "forge/server/server.h"

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <thread>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "forge/core/policy.h"
#include "forge/etcd/etcd_store.h"
#include "forge/server/door.h"
#include "forge/server/sqlite_store.h"
#include "forge/server/succession.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

constexpr int64_t kStopMs = 2'000;
// An etcd that is being started with this machine, or again, is waited for.
constexpr int kEtcdTries = 10;
constexpr auto kEtcdAgain = std::chrono::milliseconds(500);

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

// Made unreadable for others before it has contents.
void write_token(const std::string& path, const std::string& token) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written =
      fd >= 0 && write(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size());
  if (fd >= 0) close(fd);
  if (!written) throw_error(ErrorCode::kIo, path, "cannot be written: {}", std::strerror(errno));
}

std::string shared_token_patiently(const EtcdOptions& etcd, const std::string& own) {
  for (int tried = 1;; ++tried) {
    try {
      return shared_token(etcd, own);
    } catch (const Error& error) {
      if (error.code != ErrorCode::kUnavailable || tried == kEtcdTries) throw;
      std::this_thread::sleep_for(kEtcdAgain);
    }
  }
}

// Servers that share their state share their token, or their clients could not.
std::string token_of(const ServerOptions& options) {
  const std::string own = token_in(options.data_dir);
  if (options.etcd.urls.empty()) return own;
  std::string shared = shared_token_patiently(options.etcd, own);
  if (shared != own) write_token(options.data_dir + "/forge.token", shared);
  return shared;
}

std::string name_of_machine() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] ? name : "127.0.0.1";
}

[[noreturn]] void end_at_once(const Error& error) {
  log::error("the store failed, so this server ends and must be started again: {}", error.what());
  std::_Exit(1);
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
    write_token(path, token);
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
        token(token_of(options)),
        logs(options.data_dir + "/logs"),
        door(logs, token, options.page, [this] { return seat(); }),
        http(options.http, [this](auto exchange) { door.handle(exchange); }) {
    const ReignTerms terms{options.fleet, &policy_named(options.policy), options.terms};
    if (options.etcd.urls.empty()) {
      store = std::make_unique<SqliteStore>(options.data_dir + "/forge.db");
      alone = std::make_shared<Reign>(*store, *store, logs, terms, clock, end_at_once);
    } else {
      succession = std::make_unique<Succession>(options.etcd, terms, logs, clock);
    }
  }
  ~Impl() { close(lock); }

  Seat seat() const { return alone ? Seat{alone, {}} : succession->seat(); }

  ServerOptions options;
  int lock;
  std::string token;
  LogStore logs;
  std::unique_ptr<SqliteStore> store;      // without etcd
  std::shared_ptr<Reign> alone;            // the same
  std::unique_ptr<Succession> succession;  // with it
  Door door;
  transport::HttpServer http;
};

Server::Server(ServerOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

Server::~Server() { stop(); }

void Server::start() {
  if (impl_->alone) impl_->alone->loop.start();
  impl_->http.start();
  if (impl_->succession) impl_->succession->start(url());
}

void Server::stop() {
  if (impl_->alone) impl_->alone->loop.stop();
  if (impl_->succession) impl_->succession->stop();
  impl_->http.stop(kStopMs);
}

uint16_t Server::port() const { return impl_->http.port(); }
const std::string& Server::token() const { return impl_->token; }

std::string Server::url() const {
  const ServerOptions& options = impl_->options;
  if (!options.advertise.empty()) return options.advertise;
  const bool everywhere = options.http.host == "0.0.0.0";
  const std::string from_elsewhere = options.etcd.urls.empty() ? "127.0.0.1" : name_of_machine();
  return fmt::format("http://{}:{}", everywhere ? from_elsewhere : options.http.host, port());
}

}  // namespace hearth::forge
