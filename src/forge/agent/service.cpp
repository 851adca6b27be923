#include "forge/agent/service.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "forge/agent/checks.h"
#include "forge/agent/host.h"
#include "forge/agent/link_checks.h"
#include "forge/agent/link_door.h"
#include "forge/agent/log_shipper.h"
#include "forge/agent/mailbox.h"
#include "forge/agent/process_executor.h"
#include "forge/agent/server_streams.h"
#include "forge/agent/worker_process.h"
#include "forge/checkpoint/criu.h"
#include "forge/checkpoint/image_store.h"
#include "forge/client/leader_client.h"
#include "io/json.h"

extern char** environ;

namespace hearth::forge {
namespace {

using namespace std::chrono_literals;

constexpr auto kLookAgain = 50ms;   // between two looks at what ended
constexpr auto kShipAgain = 200ms;  // between two looks at the logs
constexpr int kHurriedRounds = 8;   // of health checks, after one failed
constexpr auto kForgetAgain = 60s;  // between two looks for images that nobody needs
constexpr int kAsks = 5;            // of a server, for the shortest way to it
constexpr int64_t kAnswerMs = 10'000;

std::string look_for_cgroups() {
  std::string root = find_cgroup();
  if (root.empty()) {
    log::info("no cgroup v2 that may be written: workers are held together by session and mark");
  } else {
    log::info("workers get cgroups under {}", root);
  }
  return root;
}

// Waits for it. The agent has threads, so it is spawned, not forked.
void run_quietly(std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (int descriptor : {0, 1, 2})
    posix_spawn_file_actions_addopen(&files, descriptor, "/dev/null", O_RDWR, 0);
  pid_t pid = 0;
  if (posix_spawnp(&pid, argv[0], &files, nullptr, argv.data(), environ) == 0)
    waitpid(pid, nullptr, 0);
  posix_spawn_file_actions_destroy(&files);
}

}  // namespace

struct AgentService::Impl {
  Impl(AgentOptions given, const Clock& its_clock)
      : options(std::move(given)), clock(its_clock), streams({options.url, options.token}) {}

  [[noreturn]] void run() {
    // Before anything else: whoever is alive from an earlier program is looked after.
    ProcessExecutor hands({options.state_dir, options.keeper, options.name, look_for_cgroups(),
                           options.device_variable, options.images, options.cuda_driver});
    // It waits for no server, and no job for it but those whose processes it is about.
    std::thread([this] { probe(); }).detach();
    enroll();
    AgentHost host(node, clock.wall() / kMillisecond, hands, terms);
    std::thread([this] { ship_logs(); }).detach();
    std::thread([this] { check_health(); }).detach();
    std::thread([this] { forget_images(); }).detach();
    streams.open({options.name}, terms.lease_ms);
    for (;;) {
      for (const Command& command : streams.commands.take(kLookAgain))
        host.receive(boot_millis(), command);
      host.advance(boot_millis());
      for (const std::string& word : host.take_words()) log::warn("{}", word);
      std::vector<Event> said = host.take_events();
      for (Round& round : checks.take(0ms))
        said.emplace_back(Checked{node, host.agent().incarnation(), std::move(round.results),
                                  std::move(round.links)});
      if (!said.empty()) streams.events.put(std::move(said));
    }
  }

  void enroll() {
    open_door();
    const Enrolled enrolled = ServerLink({options.url, options.token})
                                  .enroll({options.name, options.cluster, options.kind,
                                           options.devices, options.address, door_port()});
    node = enrolled.node;
    terms = enrolled.terms;
    log::info("enrolled node={} server={} lease_ms={}", options.name, options.url, terms.lease_ms);
  }

  // On all its addresses, since the one that others know need not be one of its own.
  void open_door() {
    if (options.link_port < 0) return;
    const bool alone = options.address == "127.0.0.1" || options.address == "localhost";
    door.emplace(alone ? "127.0.0.1" : "0.0.0.0", static_cast<uint16_t>(options.link_port),
                 link_key(options.token, options.name), clock);
    log::info("other nodes may try the way to this one port={}", door->port());
  }
  int32_t door_port() const { return door ? door->port() : 0; }

  // Never all nodes at once: each waits for half to one and a half of the time. After a failure
  // the next rounds come sooner.
  [[noreturn]] void check_health() {
    Random random(static_cast<uint64_t>(clock.wall()));
    const auto http = make_leader_client(options.url);
    LinkChecks links({options.name, options.token, options.baselines}, *http, clock);
    int hurried = 0;
    for (;;) {
      const double wait = (0.5 + random.uniform()) * static_cast<double>(options.check_ms);
      std::this_thread::sleep_for(static_cast<int64_t>(hurried > 0 ? wait / 4 : wait) * 1ms);
      std::vector<CheckResult> round = run_checks({.folder = options.state_dir,
                                                   .gpus = options.gpus,
                                                   .command = options.check,
                                                   .baselines = options.baselines,
                                                   .reach = look_at_server(*http)});
      hurried = std::max(0, hurried - 1);
      for (const CheckResult& result : round) {
        if (result.good) continue;
        log::warn("a health check failed check={} text=\"{}\"", result.name, result.text);
        hurried = kHurriedRounds;
      }
      std::vector<LinkResult> ways = door ? links.round() : std::vector<LinkResult>{};
      for (const LinkResult& way : ways) {
        if (way.good) continue;
        log::warn("a link is bad {}", way.text);
        hurried = kHurriedRounds;
      }
      checks.put({{std::move(round), std::move(ways)}});
    }
  }

  // In a process of its own: it makes namespaces, and something may go wrong in there.
  void probe() const {
    const std::string found = options.state_dir + "/criu";
    unlink(found.c_str());
    std::vector<std::string> words = options.prober;
    for (const std::string& word : {std::string("--criu"), options.criu, std::string("--folder"),
                                    options.state_dir + "/probe", std::string("--out"), found})
      words.push_back(word);
    run_quietly(words);
    Criu criu;
    if (!read_criu(found, criu)) {
      criu.text = "processes cannot be saved: the probe of CRIU failed; see 'hearth forge probe'";
      write_criu(found, criu);
    }
    log::info("{}", criu.text);
  }

  // Of jobs that are over: whoever ran them last may not know that.
  [[noreturn]] void forget_images() {
    const auto http = make_leader_client(options.url);
    const ImageStore store(options.images);
    keep_trying("looking for images of jobs that are over", [&] {
      for (;;) {
        std::this_thread::sleep_for(kForgetAgain);
        for (const JobId job : store.jobs()) {
          if (is_over(*http, job)) store.forget(job);
        }
      }
    });
  }

  bool is_over(transport::HttpClient& http, JobId job) const {
    const transport::HttpResponse answer =
        http.send({.method = "GET",
                   .url = fmt::format("/v1/forge/jobs/{}", job),
                   .headers = {{"Authorization", "Bearer " + options.token}},
                   .body = {},
                   .silence_timeout_ms = kAnswerMs});
    if (answer.status != 200) return false;
    const auto state =
        io::json_require<std::string>(io::parse_json(answer.body, "job"), "state", "job");
    return state == "succeeded" || state == "failed" || state == "cancelled";
  }

  // Nothing where it does not answer: leases judge that.
  std::optional<Reach> look_at_server(transport::HttpClient& http) const {
    Reach reach{.round_trip_ms = kAnswerMs, .ahead_ms = 0};
    for (int ask = 0; ask < kAsks; ++ask) {
      const Nanos begun = clock.now();
      transport::HttpResponse answer;
      try {
        answer = http.send({.method = "GET",
                            .url = "/healthz",
                            .headers = {},
                            .body = {},
                            .silence_timeout_ms = kAnswerMs});
      } catch (const Error&) {
        return std::nullopt;
      }
      const double took = static_cast<double>(clock.now() - begun) / kMillisecond;
      const std::string* date = answer.headers.find("Date");
      std::tm utc{};
      if (!date || !strptime(date->c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc)) return std::nullopt;
      if (took >= reach.round_trip_ms) continue;
      // The middle of the second that it named.
      const double server_ms = static_cast<double>(timegm(&utc)) * 1'000 + 500;
      reach = {took, server_ms - static_cast<double>(clock.wall()) / kMillisecond};
    }
    return reach;
  }

  [[noreturn]] void ship_logs() {
    LogShipper shipper(options.state_dir, {options.url, options.token}, options.name);
    keep_trying("shipping logs", [&] {
      for (;;) {
        shipper.ship();
        std::this_thread::sleep_for(kShipAgain);
      }
    });
  }

  AgentOptions options;
  const Clock& clock;
  NodeId node = 0;
  LeaseTerms terms;
  ServerStreams streams;
  // Of health checks.
  struct Round {
    std::vector<CheckResult> results;
    std::vector<LinkResult> links;
  };
  std::optional<LinkDoor> door;
  Mailbox<Round> checks;
};

AgentService::AgentService(AgentOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

AgentService::~AgentService() = default;

void AgentService::run() { impl_->run(); }

}  // namespace hearth::forge
