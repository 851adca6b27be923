// One address for the replicas of an inference deployment. It passes requests on to the ready one
// with the least to do, streams answers back, and says again elsewhere what a replica refused or
// lost before the client had a byte of it: so replicas come, drain and die without a failed
// request. Beside that it watches them, and tells Forge how many there should be, and which of them
// hangs.
//
// Threads: the server's, `workers` that each carry one request, and one that watches.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "forge/client/client.h"
#include "forge/replicas/pool.h"
#include "forge/replicas/scaler.h"
#include "forge/replicas/watchdog.h"
#include "transport/http_server.h"

namespace hearth::forge {

struct RouterOptions {
  ClientOptions forge{};                // the server that has the deployment
  JobId job = -1;                       // the deployment
  transport::HttpServerOptions http{};  // where to listen
  ScalerTerms scaler{};                 // how many replicas there are to be
  WatchdogTerms watchdog{};             // when one that does not answer is started again
  int32_t workers = 128;                // requests at a time
  size_t waiting_max = 1024;            // requests that wait; more are answered 503
  int64_t patience_ms = 20'000;         // a request waits so long for a replica that takes it
  int64_t watch_ms = 500;               // between two looks at the replicas
};

class ReplicaRouter {
 public:
  ReplicaRouter(RouterOptions options, const Clock& clock);
  ~ReplicaRouter();

  void start();
  uint16_t port() const;
  // Takes no new request, waits for those that run, up to `grace_ms`.
  void stop(int64_t grace_ms);

 private:
  using Exchange = std::shared_ptr<transport::HttpExchange>;
  class Forwarding;

  void handle(Exchange exchange);
  void work();
  void forward(transport::HttpClient& http, const Exchange& exchange);
  void watch();
  void look(Client& client, transport::HttpClient& http);
  void restart_hung(Client& client, const std::vector<Watched>& seen);
  Replica look_at(transport::HttpClient& http, JobId job, const std::string& url) const;

  RouterOptions options_;
  const Clock& clock_;
  Scaler scaler_;
  Watchdog watchdog_;
  ReplicaPool pool_;
  transport::HttpServer http_;
  std::mutex mutex_;
  std::condition_variable wake_;     // of workers
  std::condition_variable stopped_;  // of the one that watches
  std::deque<Exchange> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// The value of a metric without labels, or with any, summed; 0 when it is not there.
double metric_of(const std::string& exposition, const std::string& name);

}  // namespace hearth::forge
