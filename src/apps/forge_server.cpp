// hearth forge server, hearth forge up: the scheduler as a service, and the same with an agent.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <unistd.h>

#include "apps/forge.h"
#include "apps/forge_files.h"
#include "apps/forge_node.h"
#include "apps/web_files.h"
#include "base/error.h"
#include "base/log.h"
#include "forge/server/server.h"
#include "io/file.h"

namespace hearth::apps {
namespace {

constexpr uint16_t kPort = 8100;
constexpr int64_t kBodyBytesMax = int64_t{8} << 20;

struct ForgeServer {
  forge::ServerOptions options;
  std::string fleet_file;
};

void add_server_flags(CLI::App& command, ForgeServer& server) {
  auto& options = server.options;
  options.data_dir = default_forge_dir();
  options.http.port = kPort;
  options.http.limits.body_bytes_max = kBodyBytesMax;
  command.add_option("--data", options.data_dir, "Folder of its state; one server at a time")
      ->envname("HEARTH_FORGE_DIR")
      ->capture_default_str();
  command.add_option("--host", options.http.host, "Address to listen on; 0.0.0.0 for all")
      ->capture_default_str();
  command.add_option("--port", options.http.port, "Port to listen on; 0 takes a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command.add_option("--policy", options.policy, "Who gets devices: hearth, fifo, backfill, ...")
      ->capture_default_str();
  command
      .add_option("--lease-ms", options.terms.lease_ms,
                  "A node unheard for so long is lost, and has killed what it ran")
      ->check(CLI::Range(1'000, 3'600'000))
      ->capture_default_str();
}

// Fractions of the lease, so that a few lost heartbeats do no harm.
void set_terms(forge::LeaseTerms& terms) {
  terms.fence_ms = terms.lease_ms / 4;
  terms.heartbeat_ms = terms.lease_ms / 8;
  terms.resend_ms = terms.lease_ms / 15;
}

std::string url_of(const forge::Server& server, const forge::ServerOptions& options) {
  const bool all = options.http.host == "0.0.0.0";
  return fmt::format("http://{}:{}", all ? "127.0.0.1" : options.http.host, server.port());
}

// The page with the word that opens it, which a browser keeps to itself; not where it would go into
// somebody's log.
std::string page_of(const forge::Server& server, const forge::ServerOptions& options) {
  const std::string url = url_of(server, options);
  return isatty(STDOUT_FILENO) != 0 ? url + "/#token=" + server.token() : url;
}

// From here on signals end the process at once, which is what it is made for.
std::unique_ptr<forge::Server> start_server(const ForgeServer& flags, const Clock& clock) {
  std::signal(SIGPIPE, SIG_IGN);
  forge::ServerOptions options = flags.options;
  set_terms(options.terms);
  options.fleet = flags.fleet_file.empty() ? forge::single_fleet() : load_fleet(flags.fleet_file);
  options.page = {web_files(), HEARTH_VERSION};
  const Nanos begun = clock.now();
  auto server = std::make_unique<forge::Server>(options, clock);
  server->start();
  io::write_file_atomic(options.data_dir + "/forge.url", url_of(*server, options) + "\n");
  log::info("forge serves url={} data={} policy={} start_ms={}", url_of(*server, options),
            options.data_dir, options.policy, (clock.now() - begun) / kMillisecond);
  return server;
}

void run_server(const ForgeServer& flags) {
  static const SystemClock clock;
  const auto server = start_server(flags, clock);
  std::printf(
      "\n  Forge is up at %s\n\n  %-10s %s\n"
      "  %-10s hearth forge agent --url %s --token-file %s/forge.token\n"
      "  %-10s hearth forge submit job.toml\n  %-10s Ctrl-C; jobs run on, and it may come "
      "back\n\n",
      url_of(*server, flags.options).c_str(), "the page", page_of(*server, flags.options).c_str(),
      "a node", url_of(*server, flags.options).c_str(), flags.options.data_dir.c_str(), "a job",
      "stop");
  std::fflush(stdout);
  for (;;) pause();
}

void run_up(const ForgeServer& flags, ForgeNode node) {
  static const SystemClock clock;
  const auto server = start_server(flags, clock);
  node.agent.url = url_of(*server, flags.options);
  node.agent.token = server->token();
  if (node.state_dir.empty()) node.state_dir = flags.options.data_dir + "/agent";
  std::printf(
      "\n  Forge is up at %s with %d %s of this machine\n\n  %-10s %s\n"
      "  %-10s hearth forge submit job.toml\n  %-10s hearth forge top\n  %-10s Ctrl-C; jobs are "
      "killed %lld s later unless it is "
      "back\n\n",
      node.agent.url.c_str(), node.agent.devices, node.agent.devices == 1 ? "device" : "devices",
      "the page", page_of(*server, flags.options).c_str(), "a job", "watch", "stop",
      static_cast<long long>((flags.options.terms.lease_ms * 3 / 4) / 1'000));
  std::fflush(stdout);
  run_forge_node(node, clock);
}

}  // namespace

void add_forge_server(CLI::App& forge) {
  CLI::App* server = forge.add_subcommand("server", "The scheduler, for agents on other machines");
  auto options = std::make_shared<ForgeServer>();
  add_server_flags(*server, *options);
  server->add_option("--fleet", options->fleet_file,
                     "Regions, clusters, kinds and virtual clusters (TOML; docs/forge.md)");
  server->callback([options] { run_server(*options); });

  CLI::App* up = forge.add_subcommand("up", "Server and agent in one, for this machine");
  auto both = std::make_shared<ForgeServer>();
  auto node = std::make_shared<ForgeNode>();
  add_server_flags(*up, *both);
  up->add_option("--fleet", both->fleet_file,
                 "Regions, clusters, kinds and virtual clusters (TOML; docs/forge.md)");
  add_node_flags(*up, *node);
  up->callback([both, node] { run_up(*both, *node); });
}

}  // namespace hearth::apps
