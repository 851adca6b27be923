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
#include "transport/http_client.h"

namespace hearth::apps {
namespace {

constexpr uint16_t kPort = 8100;
constexpr int64_t kBodyBytesMax = int64_t{8} << 20;

struct ForgeServer {
  forge::ServerOptions options;
  std::string etcd_password_file;
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

void add_etcd_flags(CLI::App& command, ForgeServer& server) {
  forge::EtcdOptions& etcd = server.options.etcd;
  command
      .add_option("--etcd", etcd.urls,
                  "Keep the state in this etcd, http://HOST:2379, or these members of it with "
                  "commas: then several servers may run, and one decides")
      ->delimiter(',');
  command
      .add_option("--etcd-prefix", etcd.prefix,
                  "Of its keys there; servers with the same one are one Forge")
      ->capture_default_str();
  command.add_option("--etcd-user", etcd.user, "Of an etcd with authentication");
  command
      .add_option("--etcd-password-file", server.etcd_password_file,
                  "A file with that user's password")
      ->check(CLI::ExistingFile);
  command
      .add_option("--etcd-ca,--etcd-cacert", etcd.tls.ca_file,
                  "Authorities (PEM) that are to be trusted for an etcd at https://; default: the "
                  "system's")
      ->check(CLI::ExistingFile);
  CLI::Option* cert =
      command
          .add_option("--etcd-cert", etcd.tls.cert_file, "The certificate (PEM) that etcd is shown")
          ->check(CLI::ExistingFile);
  CLI::Option* key = command.add_option("--etcd-key", etcd.tls.key_file, "And its key (PEM)")
                         ->check(CLI::ExistingFile);
  cert->needs(key), key->needs(cert);
  command
      .add_option("--etcd-lease-s", etcd.lease_s,
                  "So long after the server that decides was last heard, another one takes over; "
                  "at most a quarter of --lease-ms")
      ->check(CLI::Range(2, 600))
      ->capture_default_str();
  command.add_option("--advertise", server.options.advertise,
                     "Where agents, clients and the other servers find this one; default: "
                     "http://HOST:PORT, with 0.0.0.0 by this machine's name");
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

void check_etcd(forge::ServerOptions& options) {
  forge::EtcdOptions& etcd = options.etcd;
  for (const std::string& url : etcd.urls) transport::parse_url(url);
  if (etcd.user.empty() != etcd.password.empty()) {
    throw_error(ErrorCode::kInvalidArgument,
                etcd.user.empty() ? "--etcd-user" : "--etcd-password-file",
                "expected a user and a file with its password, found one of them");
  }
  if (!options.advertise.empty()) transport::parse_url(options.advertise);
  if (!etcd.urls.empty() && etcd.lease_s * 4'000 > options.terms.lease_ms) {
    throw_error(ErrorCode::kInvalidArgument, "--etcd-lease-s",
                "expected at most a quarter of --lease-ms ({} ms), found {} s: agents must outlive "
                "a change of servers",
                options.terms.lease_ms, etcd.lease_s);
  }
  etcd.patience_ms = etcd.lease_s * 1'000 / 4;
}

// Fractions of the lease, so that a few lost heartbeats do no harm.
void set_terms(forge::LeaseTerms& terms) {
  terms.fence_ms = terms.lease_ms / 4;
  terms.heartbeat_ms = terms.lease_ms / 8;
  terms.resend_ms = terms.lease_ms / 15;
}

// The page with the word that opens it, which a browser keeps to itself; not where it would go into
// somebody's log.
std::string page_of(const forge::Server& server) {
  const std::string url = server.url();
  return isatty(STDOUT_FILENO) != 0 ? url + "/#token=" + server.token() : url;
}

// One of several ends by giving its place to another, which then goes on at once. Before any thread
// is there: all of them leave the signals to the one that waits.
sigset_t block_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

// A server alone is ended by signals at once, which is what it is made for.
std::unique_ptr<forge::Server> start_server(const ForgeServer& flags, const Clock& clock) {
  std::signal(SIGPIPE, SIG_IGN);
  forge::ServerOptions options = flags.options;
  set_terms(options.terms);
  if (!flags.etcd_password_file.empty())
    options.etcd.password = first_line(io::read_file(flags.etcd_password_file));
  check_etcd(options);
  options.fleet = flags.fleet_file.empty() ? forge::single_fleet() : load_fleet(flags.fleet_file);
  options.page = {web_files(), HEARTH_VERSION};
  const Nanos begun = clock.now();
  auto server = std::make_unique<forge::Server>(options, clock);
  server->start();
  io::write_file_atomic(options.data_dir + "/forge.url", server->url() + "\n");
  log::info("forge serves url={} data={} policy={} start_ms={}", server->url(), options.data_dir,
            options.policy, (clock.now() - begun) / kMillisecond);
  return server;
}

void run_server(const ForgeServer& flags) {
  static const SystemClock clock;
  const bool several = !flags.options.etcd.urls.empty();
  const sigset_t signals = several ? block_signals() : sigset_t{};
  const auto server = start_server(flags, clock);
  std::printf(
      "\n  Forge is up at %s\n\n  %-10s %s\n"
      "  %-10s hearth forge agent --url %s --token-file %s/forge.token\n"
      "  %-10s hearth forge submit job.toml\n  %-10s Ctrl-C; jobs run on, and it may come "
      "back\n\n",
      server->url().c_str(), "the page", page_of(*server).c_str(), "a node", server->url().c_str(),
      flags.options.data_dir.c_str(), "a job", "stop");
  std::fflush(stdout);
  for (int signal = 0; several;) {
    if (sigwait(&signals, &signal) == 0) return server->stop();
  }
  for (;;) pause();
}

void run_up(const ForgeServer& flags, ForgeNode node) {
  static const SystemClock clock;
  const auto server = start_server(flags, clock);
  node.agent.url = server->url();
  node.agent.token = server->token();
  if (node.state_dir.empty()) node.state_dir = flags.options.data_dir + "/agent";
  std::printf(
      "\n  Forge is up at %s with %d %s of this machine\n\n  %-10s %s\n"
      "  %-10s hearth forge submit job.toml\n  %-10s hearth forge top\n  %-10s Ctrl-C; jobs are "
      "killed %lld s later unless it is "
      "back\n\n",
      node.agent.url.c_str(), node.agent.devices, node.agent.devices == 1 ? "device" : "devices",
      "the page", page_of(*server).c_str(), "a job", "watch", "stop",
      static_cast<long long>((flags.options.terms.lease_ms * 3 / 4) / 1'000));
  std::fflush(stdout);
  run_forge_node(node, clock);
}

}  // namespace

void add_forge_server(CLI::App& forge) {
  CLI::App* server = forge.add_subcommand("server", "The scheduler, for agents on other machines");
  auto options = std::make_shared<ForgeServer>();
  add_server_flags(*server, *options);
  add_etcd_flags(*server, *options);
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
