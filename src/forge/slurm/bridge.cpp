#include "forge/slurm/bridge.h"

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "forge/agent/host.h"
#include "forge/agent/log_shipper.h"
#include "forge/agent/server_streams.h"
#include "forge/slurm/executor.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

using namespace std::chrono_literals;

constexpr auto kBrainsTurn = 200ms;    // of the nodes' brains: each looks at its runs' folders
constexpr auto kSlurmTurn = 50ms;      // between two submissions, at the most
constexpr auto kShipLogsTurn = 500ms;  // between two looks at the logs
constexpr auto kSlurmAgain = 1s;       // while there is no controller at the start
constexpr int64_t kBlindMs = 10'000;

// Held until this process ends.
void lock_state(const std::string& dir) {
  std::error_code failed;
  const bool made = std::filesystem::create_directories(dir, failed);
  if (made) std::filesystem::permissions(dir, std::filesystem::perms::owner_all, failed);
  if (failed) throw_error(ErrorCode::kIo, dir, "cannot be made: {}", failed.message());
  const int fd = ::open((dir + "/bridge.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
    throw_error(ErrorCode::kUnavailable, dir,
                "another bridge works there; stop it, or give this one its own --state");
  }
}

// Of this state folder, for ever: it is in the names of all its jobs.
std::string id_in(const std::string& dir, const Clock& clock) {
  const std::string path = dir + "/id";
  if (!io::file_exists(path)) {
    Random random(static_cast<uint64_t>(clock.wall()) ^ static_cast<uint64_t>(getpid()));
    io::write_file_atomic(path, fmt::format("{:08x}", random.next() & 0xffffffff));
  }
  return io::read_file(path);
}

}  // namespace

struct SlurmBridge::Impl {
  struct Member {
    std::string name;
    NodeId node = 0;
    std::unique_ptr<SlurmExecutor> hands;
    std::unique_ptr<AgentHost> host;
    bool drained = false;  // by this program, because Slurm has it drained
  };

  Impl(SlurmBridgeOptions given, const Clock& its_clock)
      : options(std::move(given)),
        clock(its_clock),
        commands_of_slurm(options.slurm),
        streams({options.url, options.token}) {
    lock_state(options.state_dir);
    id = id_in(options.state_dir, clock);
    region = std::make_unique<SlurmRegion>(commands_of_slurm, slurm_name_prefix(id));
    began_wall = clock.wall();
    began_now = clock.now();
  }

  // The wall clock as it was when this program began, going on evenly: a clock that is set while it
  // runs moves no fence.
  Millis now() const { return (began_wall + clock.now() - began_now) / kMillisecond; }

  [[noreturn]] void run() {
    enroll_all();
    for (Member& member : members) names.push_back(member.name);
    std::thread([this] { speak_to_slurm(); }).detach();
    std::thread([this] { ship_logs(); }).detach();
    streams.open(names, terms.lease_ms);
    for (;;) turn();
  }

  void turn() {
    for (const Command& command : streams.commands.take(kBrainsTurn)) {
      const NodeId node = std::visit([](const auto& c) { return c.node; }, command);
      const auto found = by_node.find(node);
      if (found != by_node.end()) members[found->second].host->receive(now(), command);
    }
    std::vector<Event> said;
    const std::set<std::string> away = silent_nodes();
    for (Member& member : members) {
      member.host->advance(now());
      for (const std::string& word : member.host->take_words())
        log::warn("node={} {}", member.name, word);
      std::vector<Event> events_of_it = member.host->take_events();
      if (away.contains(member.name)) continue;
      std::move(events_of_it.begin(), events_of_it.end(), std::back_inserter(said));
    }
    if (!said.empty()) streams.events.put(std::move(said));
  }

  // Nothing is heard of a node that is away for Slurm: its lease runs out as any node's. Where the
  // controller itself is silent, nodes on which nothing runs are, so that nothing new comes there.
  std::set<std::string> silent_nodes() {
    Millis seen_at = -1;
    std::set<std::string> out;
    for (const SlurmNode& node : region->nodes(seen_at)) {
      if (node.care == SlurmCare::kAway) out.insert(node.name);
    }
    const bool blind = now() > std::max(seen_at, began_wall / kMillisecond) + kBlindMs;
    for (const Member& member : members) {
      if (blind && member.hands->idle()) out.insert(member.name);
    }
    if (out != silent) {
      for (const std::string& name : out)
        if (!silent.contains(name)) log::warn("node is away for Slurm node={}", name);
      for (const std::string& name : silent)
        if (!out.contains(name)) log::info("node is back node={}", name);
      silent = out;
    }
    return out;
  }

  std::vector<SlurmNode> first_look() {
    for (bool said = false;; said = true) {
      try {
        return commands_of_slurm.nodes();
      } catch (const Error& error) {
        if (error.code != ErrorCode::kUnavailable) throw;
        if (!said) log::warn("no Slurm controller yet: {}", error.what());
        std::this_thread::sleep_for(kSlurmAgain);
      }
    }
  }

  void enroll_all() {
    ServerLink link({options.url, options.token});
    const std::string& partition = options.slurm.partition;
    for (const SlurmNode& node : first_look()) {
      const bool ours = partition.empty() ||
                        std::find(node.partitions.begin(), node.partitions.end(), partition) !=
                            node.partitions.end();
      const int32_t devices =
          options.gres.empty() ? node.cpus / options.cores : gres_count(node.gres, options.gres);
      if (ours && devices > 0) enroll(link, node, devices);
    }
    if (members.empty()) {
      throw_error(ErrorCode::kNotFound, "slurm", "no node{}{} in this controller's care",
                  partition.empty() ? "" : " of partition " + partition,
                  options.gres.empty() ? "" : " with GRES " + options.gres);
    }
    log::info("bridge stands nodes={} id={} server={}", members.size(), id, options.url);
  }

  void enroll(ServerLink& link, const SlurmNode& node, int32_t devices) {
    const Enrolled enrolled =
        link.enroll({node.name, options.cluster, options.kind, devices, node.address});
    terms = enrolled.terms;
    SlurmNodeTerms its{.state_dir = options.state_dir + "/nodes/" + node.name,
                       .node = node.name,
                       .id = id,
                       .keeper = options.keeper,
                       .gres = options.gres,
                       .cpus_per_device = std::max(1, node.cpus / devices),
                       .memory_mb_per_device = node.memory_mb / devices,
                       .lease_ms = terms.lease_ms,
                       .start_ms = options.start_ms};
    Member member{.name = node.name, .node = enrolled.node};
    member.hands = std::make_unique<SlurmExecutor>(std::move(its), *region, now());
    member.host = std::make_unique<AgentHost>(enrolled.node, now(), *member.hands, terms);
    member.drained = io::file_exists(drained_file(node.name));
    by_node[enrolled.node] = members.size();
    members.push_back(std::move(member));
  }

  std::string drained_file(const std::string& node) const {
    return options.state_dir + "/nodes/" + node + "/drained";
  }

  [[noreturn]] void speak_to_slurm() {
    ServerLink link({options.url, options.token});
    keep_trying("speaking to Slurm", [&] {
      for (;;) {
        region->turn(now());
        pass_drains_on(link);
        std::this_thread::sleep_for(kSlurmTurn);
      }
    });
  }

  // Who drains a node in Slurm means its jobs to leave. What a person drained in Forge stays so.
  void pass_drains_on(ServerLink& link) {
    Millis seen_at = -1;
    for (const SlurmNode& node : region->nodes(seen_at)) {
      const auto member = std::find_if(members.begin(), members.end(),
                                       [&](const Member& m) { return m.name == node.name; });
      if (member == members.end() || node.care == SlurmCare::kAway) continue;
      const bool drained = node.care == SlurmCare::kDrained;
      if (drained == member->drained) continue;
      if (link.change_node(node.name, drained ? "drain" : "resume") != 200) continue;
      log::info("Slurm {} a node node={} reason=\"{}\"", drained ? "drains" : "resumes", node.name,
                node.reason);
      member->drained = drained;
      std::error_code ignored;
      if (drained) io::write_file_atomic(drained_file(node.name), node.reason);
      if (!drained) std::filesystem::remove(drained_file(node.name), ignored);
    }
  }

  [[noreturn]] void ship_logs() {
    std::vector<LogShipper> shippers;
    const ServerPlace servers{options.url, options.token};
    for (const std::string& name : names)
      shippers.emplace_back(options.state_dir + "/nodes/" + name, servers, name);
    keep_trying("shipping logs", [&] {
      for (;;) {
        for (LogShipper& shipper : shippers) shipper.ship();
        std::this_thread::sleep_for(kShipLogsTurn);
      }
    });
  }

  SlurmBridgeOptions options;
  const Clock& clock;
  SlurmCommands commands_of_slurm;
  std::string id;
  std::unique_ptr<SlurmRegion> region;
  Nanos began_wall = 0;
  Nanos began_now = 0;
  LeaseTerms terms;
  std::vector<Member> members;
  std::vector<std::string> names;
  std::map<NodeId, size_t> by_node;
  std::set<std::string> silent;
  ServerStreams streams;
};

SlurmBridge::SlurmBridge(SlurmBridgeOptions options, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), clock)) {}

SlurmBridge::~SlurmBridge() = default;

void SlurmBridge::run() { impl_->run(); }

}  // namespace hearth::forge
