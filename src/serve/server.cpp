#include "serve/server.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "serve/executor.h"
#include "serve/service.h"

namespace hearth::serve {

namespace {

constexpr auto kTick = std::chrono::seconds(1);
constexpr auto kDrainLook = std::chrono::milliseconds(20);
constexpr int64_t kFlushMs = 5'000;  // for answers that are complete and not yet sent

transport::HttpServerOptions with_service(transport::HttpServerOptions options, Service& service) {
  options.refusal = [&service](int status, const std::string& text) {
    return service.refusal(status, text);
  };
  options.plan_body = [&service](const transport::HttpRequest& head) {
    return service.plan_body(head);
  };
  return options;
}

}  // namespace

struct Server::Impl {
  const int64_t drain_ms;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Executor> background;
  Service service;
  transport::HttpServer http;
  std::mutex mutex;
  std::condition_variable changed;
  bool forced = false;   // guarded by mutex
  bool stopped = false;  // likewise
  std::thread ticker;

  Impl(ServerOptions options, ModelHandle model, const Clock& clock)
      : drain_ms(options.drain_ms),
        executor(make_worker_pool(options.workers)),
        background(make_worker_pool(1)),
        service(options, std::move(model), clock, *executor, *background),
        http(with_service(options.http, service),
             [this](auto exchange) { service.handle(std::move(exchange)); }) {}

  void start() {
    service.count_connections([this] { return http.connections(); });
    service.engine().start();
    http.start();
    ticker = std::thread([this] {
      std::unique_lock lock(mutex);
      while (!changed.wait_for(lock, kTick, [this] { return stopped; })) service.tick();
    });
  }

  void wait_drained() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(drain_ms);
    std::unique_lock lock(mutex);
    while (!forced && service.engine().unfinished() > 0 &&
           std::chrono::steady_clock::now() < until) {
      changed.wait_for(lock, kDrainLook);
    }
    if (service.engine().unfinished() > 0) {
      log::warn("stopping with requests running requests={}", service.engine().unfinished());
    }
  }

  void stop() {
    if (!ticker.joinable()) return;
    service.drain();
    wait_drained();
    bool in_haste = false;
    {
      const std::lock_guard lock(mutex);
      stopped = true;
      in_haste = forced;
    }
    changed.notify_all();
    http.stop(in_haste ? 0 : kFlushMs);
    service.engine().stop();
    ticker.join();
    // Their last tasks still need the service, and those of the one the other.
    executor.reset();
    background.reset();
  }

  void force() {
    {
      const std::lock_guard lock(mutex);
      forced = true;
    }
    changed.notify_all();
  }
};

Server::Server(ServerOptions options, ModelHandle model, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(model), clock)) {}

Server::~Server() {
  impl_->force();
  impl_->stop();
}

AdapterRegistry& Server::adapters() { return impl_->service.adapters(); }
void Server::start() { impl_->start(); }
uint16_t Server::port() const { return impl_->http.port(); }
void Server::drain() { impl_->service.drain(); }
void Server::stop() { impl_->stop(); }
void Server::force() { impl_->force(); }

}  // namespace hearth::serve
