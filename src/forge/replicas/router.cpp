#include "forge/replicas/router.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"

namespace hearth::forge {

using transport::ClientRequest;
using transport::HttpResponse;
using transport::SendState;

namespace {

constexpr int64_t kCheckPatienceMs = 2'000;
constexpr auto kNobodyReady = std::chrono::milliseconds(50);

// Fields that belong to one connection and are not passed on.
bool of_the_connection(const std::string& name) {
  for (const char* known : {"connection", "keep-alive", "transfer-encoding", "te", "trailer",
                            "upgrade", "host", "content-length", "expect", "date", "server"}) {
    if (transport::equals_ignoring_case(name, known)) return true;
  }
  return false;
}

transport::Headers passed_on(const transport::Headers& headers) {
  transport::Headers out;
  for (const auto& [name, value] : headers.fields()) {
    if (!of_the_connection(name)) out.add(name, value);
  }
  return out;
}

HttpResponse router_refusal(const std::string& text) {
  const io::Json body = {
      {"error", {{"message", text}, {"type", "server_error"}, {"code", "no_replica"}}}};
  return {503,
          {{"Content-Type", "application/json"}, {"Retry-After", "1"}},
          io::dump_json(body) + "\n"};
}

}  // namespace

double metric_of(const std::string& exposition, const std::string& name) {
  double sum = 0;
  for (size_t at = 0; at < exposition.size();) {
    const size_t end = std::min(exposition.find('\n', at), exposition.size());
    const std::string_view line(exposition.data() + at, end - at);
    at = end + 1;
    if (!line.starts_with(name)) continue;
    const char after = line.size() > name.size() ? line[name.size()] : '\0';
    if (after != ' ' && after != '{') continue;
    const size_t space = line.rfind(' ');
    double value = 0;
    std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    sum += value;
  }
  return sum;
}

// One try to have one request answered by one replica.
class ReplicaRouter::Forwarding {
 public:
  enum class End {
    kAnswered,  // the client has it, or has gone
    kRefused,   // the replica takes nothing now; `refusal` is what it said
    kLost,      // the connection broke before the client had anything
    kCut,       // it broke in the middle of what the client was being sent
  };

  explicit Forwarding(transport::HttpExchange& exchange) : exchange_(exchange) {}

  End run(transport::HttpClient& http, const ClientRequest& request) {
    const transport::ClientStream sink{
        [this](const HttpResponse& head) { take_head(head); },
        [this](std::string_view bytes) { return take_bytes(bytes); }};
    try {
      http.stream(request, sink);
    } catch (const Error&) {
      if (gone_) return End::kAnswered;
      return streaming_ ? End::kCut : End::kLost;
    }
    if (gone_) return End::kAnswered;
    if (head_.status == 503) return End::kRefused;
    if (streaming_) {
      exchange_.finish();
    } else {
      exchange_.respond(std::move(head_));
    }
    return End::kAnswered;
  }

  HttpResponse refusal() && { return std::move(head_); }

 private:
  // Answers whose length is known are collected: they can be asked for again elsewhere. Those of
  // unknown length are events that somebody waits for.
  void take_head(const HttpResponse& head) {
    head_ = {head.status, passed_on(head.headers), {}};
    streaming_ = head.status != 503 && !head.headers.find("Content-Length");
    if (!streaming_) return;
    exchange_.on_writable([state = state_] {
      const std::lock_guard lock(state->mutex);
      state->full = false;
      state->wake.notify_one();
    });
    exchange_.on_close([state = state_](transport::CloseReason) {
      const std::lock_guard lock(state->mutex);
      state->closed = true;
      state->wake.notify_one();
    });
    exchange_.start_stream(head_);
  }

  bool take_bytes(std::string_view bytes) {
    if (!streaming_) return head_.body.append(bytes), true;
    {
      const std::lock_guard lock(state_->mutex);
      state_->full = true;
    }
    const SendState sent = exchange_.send(bytes);
    std::unique_lock lock(state_->mutex);
    if (sent == SendState::kReady) state_->full = false;
    state_->wake.wait(
        lock, [&] { return sent == SendState::kClosed || state_->closed || !state_->full; });
    gone_ = sent == SendState::kClosed || state_->closed;
    return !gone_;
  }

  struct Shared {
    std::mutex mutex;
    std::condition_variable wake;
    bool full = false;
    bool closed = false;
  };

  transport::HttpExchange& exchange_;
  std::shared_ptr<Shared> state_ = std::make_shared<Shared>();
  HttpResponse head_;
  bool streaming_ = false;
  bool gone_ = false;
};

ReplicaRouter::ReplicaRouter(RouterOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      scaler_(options_.scaler),
      watchdog_(options_.watchdog),
      http_(options_.http, [this](auto exchange) { handle(std::move(exchange)); }) {}

ReplicaRouter::~ReplicaRouter() { stop(0); }

void ReplicaRouter::start() {
  http_.start();
  threads_.emplace_back([this] { watch(); });
  for (int32_t i = 0; i < options_.workers; ++i) threads_.emplace_back([this] { work(); });
}

uint16_t ReplicaRouter::port() const { return http_.port(); }

void ReplicaRouter::stop(int64_t grace_ms) {
  http_.stop(grace_ms);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  stopped_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ReplicaRouter::handle(Exchange exchange) {
  const std::string& path = exchange->request().path;
  if (path == "/healthz") return exchange->respond({200, {}, "ok\n"});
  if (path == "/replicas") {
    io::Json list = io::Json::array();
    for (const Replica& replica : pool_.list()) {
      list.push_back({{"job", replica.job},
                      {"url", replica.url},
                      {"ready", replica.ready},
                      {"running", replica.running},
                      {"waiting", replica.waiting},
                      {"ptu", replica.ptu}});
    }
    const io::Json body = {{"deployment", options_.job}, {"replicas", list}};
    return exchange->respond(
        {200, {{"Content-Type", "application/json"}}, io::dump_json(body) + "\n"});
  }
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() < options_.waiting_max) {
      queue_.push_back(std::move(exchange));
      wake_.notify_one();
      return;
    }
  }
  exchange->respond(router_refusal("too many requests wait at the router (waiting_max)"));
}

void ReplicaRouter::work() {
  const auto http = transport::make_http_client();
  for (;;) {
    Exchange exchange;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      exchange = std::move(queue_.front());
      queue_.pop_front();
    }
    forward(*http, exchange);
  }
}

void ReplicaRouter::forward(transport::HttpClient& http, const Exchange& exchange) {
  const transport::HttpRequest& asked = exchange->request();
  ClientRequest request{.method = asked.method,
                        .headers = passed_on(asked.headers),
                        .connect_timeout_ms = kCheckPatienceMs};
  const std::string target = asked.path + (asked.query.empty() ? "" : "?" + asked.query);
  request.body = exchange->take_body();
  HttpResponse answer = router_refusal("no replica of this deployment is ready");
  const Nanos patience = options_.patience_ms * kMillisecond;
  Nanos until = clock_.now() + patience;
  std::set<JobId> tried;
  while (clock_.now() < until) {
    std::string url;
    const JobId replica = pool_.take(tried, url);
    if (replica < 0) {
      tried.clear();
      std::this_thread::sleep_for(kNobodyReady);
      continue;
    }
    request.url = url + target;
    Forwarding attempt(*exchange);
    const Forwarding::End end = attempt.run(http, request);
    pool_.give_back(replica);
    // Dropping the exchange cuts the client's connection, which is the truth about its answer.
    if (end == Forwarding::End::kAnswered || end == Forwarding::End::kCut) return;
    tried.insert(replica);
    if (end == Forwarding::End::kRefused) answer = std::move(attempt).refusal();
    if (end != Forwarding::End::kLost) continue;
    pool_.distrust(replica);
    until = clock_.now() + patience;  // its work is to be done again, however long it took
  }
  exchange->respond(std::move(answer));
}

void ReplicaRouter::watch() {
  Client client(options_.forge);
  const auto http = transport::make_http_client();
  for (bool said = false;;) {
    try {
      look(client, *http);
      said = false;
    } catch (const std::exception& error) {
      // The replicas that are known go on being used.
      if (!said) log::warn("the deployment was not seen: {}", error.what());
      said = true;
    }
    std::unique_lock lock(mutex_);
    if (stopped_.wait_for(lock, std::chrono::milliseconds(options_.watch_ms),
                          [this] { return stopping_; }))
      return;
  }
}

void ReplicaRouter::look(Client& client, transport::HttpClient& http) {
  const io::Json answer = client.get(fmt::format("jobs/{}/replicas", options_.job));
  std::vector<Replica> seen;
  std::vector<Watched> watched;
  DeploymentLoad load;
  for (const io::Json& line : answer.at("replicas")) {
    ++load.replicas;
    if (line.at("state") != "running") continue;
    Replica replica =
        look_at(http, line.at("id").get<JobId>(), line.at("endpoint").get<std::string>());
    load.ready += replica.ready;
    load.running += replica.running;
    load.waiting += replica.waiting;
    load.ptu_each = std::max(load.ptu_each, replica.ptu);
    watched.push_back({replica.job, line.at("epoch").get<Epoch>(), replica.ready});
    seen.push_back(std::move(replica));
  }
  pool_.update(std::move(seen));
  restart_hung(client, watched);
  {
    const std::lock_guard lock(mutex_);
    load.waiting += static_cast<int64_t>(queue_.size());
  }
  const int32_t wanted = scaler_.wanted(clock_.now() / kMillisecond, load);
  if (wanted != load.replicas && load.replicas > 0) {
    log::info("scaling deployment={} from={} to={} running={} waiting={}", options_.job,
              load.replicas, wanted, load.running, load.waiting);
    client.post(fmt::format("jobs/{}/scale", options_.job), {{"replicas", wanted}});
  }
}

void ReplicaRouter::restart_hung(Client& client, const std::vector<Watched>& seen) {
  const std::optional<Watched> hung = watchdog_.hung(clock_.now() / kMillisecond, seen);
  if (!hung) return;
  log::warn(
      "a replica runs and does not answer, so it is started again deployment={} job={} "
      "epoch={}",
      options_.job, hung->job, hung->epoch);
  client.post(fmt::format("jobs/{}/restart", hung->job), {{"epoch", hung->epoch}});
}

Replica ReplicaRouter::look_at(transport::HttpClient& http, JobId job,
                               const std::string& url) const {
  Replica out{.job = job, .url = url};
  const auto ask = [&](const char* path) {
    return http.send({.url = url + path,
                      .connect_timeout_ms = kCheckPatienceMs,
                      .silence_timeout_ms = kCheckPatienceMs});
  };
  try {
    out.ready = ask("/ready").status == 200;
    if (!out.ready) return out;
    const std::string metrics = ask("/metrics").body;
    out.running = static_cast<int64_t>(metric_of(metrics, "hearth:num_requests_running"));
    // Those that wait for a slot are among those without a first step.
    out.waiting = static_cast<int64_t>(std::max(metric_of(metrics, "hearth:num_requests_waiting"),
                                                metric_of(metrics, "hearth:num_requests_queued")));
    out.ptu = metric_of(metrics, "hearth:ptu_capacity");
  } catch (const Error&) {
    out.ready = false;
  }
  return out;
}

}  // namespace hearth::forge
