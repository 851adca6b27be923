#include "transport/http_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "transport/http_connection.h"

namespace hearth::transport {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

// After the time for answers to end, how long cut connections may take.
constexpr int64_t kCutMs = 2'000;
constexpr int64_t kAcceptPauseMs = 50;

// Thousands of streams need thousands of descriptors; the soft limit of most systems is 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct HttpServer::Impl {
  std::shared_ptr<ConnectionHub> hub = std::make_shared<ConnectionHub>();
  asio::io_context io;
  tcp::acceptor acceptor{asio::make_strand(io)};
  asio::steady_timer accept_pause{acceptor.get_executor()};
  std::vector<std::thread> threads;
  uint16_t port = 0;

  void listen() {
    const HttpServerOptions& options = hub->options;
    error_code error;
    const auto address =
        asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error) {
      throw_error(ErrorCode::kInvalidArgument, "--host",
                  "'{}' is not an IP address; use 127.0.0.1, 0.0.0.0, ::1 or ::", options.host);
    }
    const tcp::endpoint endpoint(address, options.port);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(options.backlog, error);
    if (error) {
      throw_error(ErrorCode::kIo, "--port",
                  "cannot listen on {}:{}: {}; choose another with --port, or stop what uses it",
                  options.host, options.port, error.message());
    }
    port = acceptor.local_endpoint().port();
  }

  void accept() {
    acceptor.async_accept(asio::make_strand(io), [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
      if (error) return pause_accepting(error);
      adopt(std::move(socket));
      accept();
    });
  }

  // Out of descriptors, usually: connections that end will free some.
  void pause_accepting(error_code error) {
    log::warn("accept failed error=\"{}\" pause_ms={}", error.message(), kAcceptPauseMs);
    accept_pause.expires_after(std::chrono::milliseconds(kAcceptPauseMs));
    accept_pause.async_wait([this](error_code canceled) {
      if (!canceled) accept();
    });
  }

  void adopt(tcp::socket socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    auto connection = std::make_shared<Connection>(std::move(socket), hub);
    bool full = false;
    {
      const std::lock_guard lock(hub->mutex);
      full = static_cast<int>(hub->connections.size()) >= hub->options.connections_max;
      hub->connections.insert(connection);
    }
    if (full) {
      return connection->refuse_and_close(
          503, fmt::format("connections_max = {} connections are open; try again later",
                           hub->options.connections_max));
    }
    connection->start(fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port()));
  }

  std::vector<std::shared_ptr<Connection>> all() {
    const std::lock_guard lock(hub->mutex);
    return {hub->connections.begin(), hub->connections.end()};
  }

  bool wait_empty(int64_t ms) {
    std::unique_lock lock(hub->mutex);
    return hub->emptied.wait_for(lock, std::chrono::milliseconds(ms),
                                 [this] { return hub->connections.empty(); });
  }

  void stop(int64_t grace_ms) {
    if (threads.empty()) return;
    hub->stopping = true;
    asio::post(acceptor.get_executor(), [this] {
      error_code ignored;
      acceptor.close(ignored);
      accept_pause.cancel();
    });
    for (const auto& connection : all()) connection->wind_down();
    if (!wait_empty(grace_ms)) {
      for (const auto& connection : all()) connection->cut();
      wait_empty(kCutMs);
    }
    io.stop();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    // The post above may not have run; a port that still listens would leave callers waiting.
    error_code ignored;
    acceptor.close(ignored);
  }
};

HttpServer::HttpServer(HttpServerOptions options, HttpHandler handler)
    : impl_(std::make_unique<Impl>()) {
  impl_->hub->options = std::move(options);
  impl_->hub->handler = std::move(handler);
}

HttpServer::~HttpServer() { stop(0); }

void HttpServer::start() {
  raise_descriptor_limit();
  impl_->listen();
  impl_->accept();
  for (int i = 0; i < impl_->hub->options.io_threads; ++i) {
    impl_->threads.emplace_back([this] { impl_->io.run(); });
  }
}

uint16_t HttpServer::port() const { return impl_->port; }

int HttpServer::connections() const {
  const std::lock_guard lock(impl_->hub->mutex);
  return static_cast<int>(impl_->hub->connections.size());
}

void HttpServer::stop(int64_t grace_ms) { impl_->stop(grace_ms); }

}  // namespace hearth::transport
