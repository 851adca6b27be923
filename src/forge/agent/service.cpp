#include "forge/agent/service.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fmt/format.h>
#include <functional>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "forge/agent/checks.h"
#include "forge/agent/host.h"
#include "forge/agent/log_shipper.h"
#include "forge/agent/process_executor.h"
#include "forge/agent/worker_process.h"
#include "forge/codec/messages.h"
#include "io/json.h"
#include "transport/http_client.h"

namespace hearth::forge {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookAgain = 50ms;   // between two looks at what ended
constexpr auto kReconnect = 250ms;  // after a connection broke
constexpr auto kShipAgain = 200ms;  // between two looks at the logs
constexpr auto kFirstStream = 2s;   // for the commands' connection to stand
constexpr int kHurriedRounds = 8;   // of health checks, after one failed
constexpr int64_t kAnswerMs = 10'000;

std::string cgroup_for(const std::string& node) {
  const std::string root = find_cgroup();
  if (root.empty()) {
    log::info("no cgroup v2 that may be written: workers are held together by session and mark");
    return {};
  }
  const std::string own = root + "/hearth-" + node;
  mkdir(own.c_str(), 0755);
  log::info("workers get cgroups under {}", own);
  return own;
}

// A box between threads. What is taken is taken whole.
template <typename T>
class Mailbox {
 public:
  void put(std::vector<T> items) {
    {
      const std::lock_guard lock(mutex_);
      for (T& item : items) items_.push_back(std::move(item));
    }
    wake_.notify_one();
  }
  std::vector<T> take(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, longest, [this] { return !items_.empty(); });
    return std::exchange(items_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<T> items_;
};

}  // namespace

struct AgentService::Impl {
  Impl(AgentOptions given, const Clock& its_clock) : options(std::move(given)), clock(its_clock) {
    base = fmt::format("{}/v1/forge/agents/{}", options.url, options.name);
    bearer = {{"Authorization", "Bearer " + options.token}};
  }

  [[noreturn]] void run() {
    // Before anything else: whoever is alive from an earlier program is looked after.
    ProcessExecutor hands({options.state_dir, options.keeper, options.name,
                           cgroup_for(options.name), options.device_variable});
    enroll();
    AgentHost host(node, clock.wall() / kMillisecond, hands, terms);
    std::thread([this] { read_commands(); }).detach();
    std::thread([this] { send_events(); }).detach();
    std::thread([this] { ship_logs(); }).detach();
    std::thread([this] { check_health(); }).detach();
    {
      std::unique_lock lock(mutex);
      connected.wait_for(lock, kFirstStream, [this] { return streams; });
    }
    for (;;) {
      for (const Command& command : commands.take(kLookAgain)) host.receive(boot_millis(), command);
      host.advance(boot_millis());
      std::vector<Event> said = host.take_events();
      for (std::vector<CheckResult>& round : checks.take(0ms))
        said.emplace_back(Checked{node, host.agent().incarnation(), std::move(round)});
      if (!said.empty()) events.put(std::move(said));
    }
  }

  void enroll() {
    const auto http = transport::make_http_client();
    const io::Json body = {{"devices", options.devices},
                           {"cluster", options.cluster},
                           {"kind", options.kind},
                           {"address", options.address}};
    for (bool waited = false;; waited = true) {
      try {
        const transport::HttpResponse answer = http->send({.method = "POST",
                                                           .url = base + "/enroll",
                                                           .headers = bearer,
                                                           .body = io::dump_json(body),
                                                           .silence_timeout_ms = kAnswerMs});
        const io::Json json = io::parse_json(answer.body, "enroll");
        if (answer.status == 200) return take_terms(json);
        throw_error(ErrorCode::kInvalidArgument, options.url, "the server refuses this node: {}",
                    json.contains("error") ? json["error"].value("message", "") : answer.body);
      } catch (const Error& error) {
        if (error.code != ErrorCode::kIo) throw;
        if (!waited) log::warn("no server yet url={} reason=\"{}\"", options.url, error.what());
        std::this_thread::sleep_for(kReconnect);
      }
    }
  }

  void take_terms(const io::Json& json) {
    node = json.at("node").get<NodeId>();
    terms.lease_ms = json.at("lease_ms").get<Millis>();
    terms.fence_ms = json.at("fence_ms").get<Millis>();
    terms.heartbeat_ms = json.at("heartbeat_ms").get<Millis>();
    log::info("enrolled node={} server={} lease_ms={}", options.name, options.url, terms.lease_ms);
  }

  // Runs `work` for ever; what breaks is tried again.
  template <typename Work>
  [[noreturn]] void keep_trying(const char* what, Work work) {
    for (bool said = false;;) {
      try {
        work();
        said = false;
      } catch (const std::exception& error) {
        if (!said) log::warn("{} broke, trying again: {}", what, error.what());
        said = true;
      }
      std::this_thread::sleep_for(kReconnect);
    }
  }

  [[noreturn]] void read_commands() {
    const auto http = transport::make_http_client();
    keep_trying("the commands' connection", [&] {
      codec::FrameReader frames(
          [this](std::string_view message) { commands.put({codec::decode_command(message)}); });
      int status = 0;
      transport::ClientStream sink{[&](const transport::HttpResponse& head) {
                                     status = head.status;
                                     if (status == 404) forgotten();
                                     if (status != 200) return;
                                     {
                                       const std::lock_guard lock(mutex);
                                       streams = true;
                                     }
                                     connected.notify_one();
                                   },
                                   [&](std::string_view bytes) {
                                     if (status == 200) frames.feed(bytes);
                                     return true;
                                   }};
      // A server that grants leases is never silent for one.
      http->stream(
          {.url = base + "/commands", .headers = bearer, .silence_timeout_ms = terms.lease_ms},
          sink);
    });
  }

  // Its number among the nodes means nothing to this server. The workers have their fence.
  [[noreturn]] void forgotten() const {
    log::error("the server does not know node {} any more: start this agent again", options.name);
    std::_Exit(1);
  }

  // What is lost on the way is said again: the brain repeats what was not acknowledged.
  [[noreturn]] void send_events() {
    const auto http = transport::make_http_client();
    keep_trying("sending events", [&] {
      for (;;) {
        const std::vector<Event> said = events.take(kAnswerMs * 1ms);
        if (said.empty()) continue;
        http->send({.method = "POST",
                    .url = base + "/events",
                    .headers = bearer,
                    .body = codec::encode_events(said),
                    .silence_timeout_ms = kAnswerMs});
      }
    });
  }

  // Never all nodes at once: each waits for half to one and a half of the time. After a failure
  // the next rounds come sooner.
  [[noreturn]] void check_health() {
    Random random(static_cast<uint64_t>(clock.wall()));
    int hurried = 0;
    for (;;) {
      const double wait = (0.5 + random.uniform()) * static_cast<double>(options.check_ms);
      std::this_thread::sleep_for(static_cast<int64_t>(hurried > 0 ? wait / 4 : wait) * 1ms);
      std::vector<CheckResult> round =
          run_checks({.folder = options.state_dir, .gpus = options.gpus, .command = options.check});
      hurried = std::max(0, hurried - 1);
      for (const CheckResult& result : round) {
        if (result.good) continue;
        log::warn("a health check failed check={} text=\"{}\"", result.name, result.text);
        hurried = kHurriedRounds;
      }
      checks.put({std::move(round)});
    }
  }

  [[noreturn]] void ship_logs() {
    LogShipper shipper(options.state_dir, base + "/logs", options.token);
    keep_trying("shipping logs", [&] {
      for (;;) {
        shipper.ship();
        std::this_thread::sleep_for(kShipAgain);
      }
    });
  }

  AgentOptions options;
  const Clock& clock;
  std::string base;
  transport::Headers bearer;
  NodeId node = 0;
  LeaseTerms terms;
  Mailbox<Command> commands;
  Mailbox<Event> events;
  Mailbox<std::vector<CheckResult>> checks;
  std::mutex mutex;
  std::condition_variable connected;
  bool streams = false;
};

AgentService::AgentService(AgentOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

AgentService::~AgentService() = default;

void AgentService::run() { impl_->run(); }

}  // namespace hearth::forge
