// hearth forge agent: the program of a node. hearth forge keeper: what it starts for each run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>
#include <unistd.h>

#include "apps/forge.h"
#include "apps/forge_node.h"
#include "base/error.h"
#include "forge/agent/keeper.h"
#include "forge/checkpoint/criu.h"
#include "io/file.h"

namespace hearth::apps {
namespace {

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] ? name : "node";
}

int32_t gpus() {
  int32_t count = 0;
  while (std::filesystem::exists(fmt::format("/dev/nvidia{}", count))) ++count;
  return count;
}

void run_agent(ForgeNode node, const std::string& token_file) {
  static const SystemClock clock;
  if (!token_file.empty()) node.agent.token = io::read_file(token_file);
  std::string& token = node.agent.token;
  while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
  if (node.state_dir.empty()) node.state_dir = default_forge_dir() + "/agent-" + node.agent.name;
  run_forge_node(std::move(node), clock);
}

struct Probe {
  std::string program = "criu";
  std::string folder = fmt::format("/tmp/hearth-probe-{}", getpid());
  std::string out;
};

void run_probe(const Probe& asked) {
  const forge::Criu criu = forge::probe_criu(asked.program, asked.folder);
  if (!asked.out.empty()) forge::write_criu(asked.out, criu);
  std::printf("%s\n", criu.text.c_str());
  if (!criu.works()) throw CLI::RuntimeError(1);
}

}  // namespace

void add_node_flags(CLI::App& command, ForgeNode& node) {
  forge::AgentOptions& agent = node.agent;
  agent.name = host_name();
  agent.devices = gpus();
  if (agent.devices > 0) {
    agent.device_variable = "CUDA_VISIBLE_DEVICES";
    agent.gpus = agent.devices;
  }
  if (agent.devices == 0)
    agent.devices = std::max(1, static_cast<int32_t>(std::thread::hardware_concurrency()));
  command.add_option("--node", agent.name, "Name of this node")->capture_default_str();
  command.add_option("--cluster", agent.cluster, "Its cluster; default: the fleet's first");
  command.add_option("--kind", agent.kind, "Kind of its devices; default: the fleet's first");
  command
      .add_option("--devices", agent.devices,
                  "How many it has; default: its GPUs, or else its cores")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--device-variable", agent.device_variable,
                     "Environment variable that lists a worker's devices, besides HEARTH_DEVICES");
  command.add_option("--address", agent.address,
                     "Where the workers of a gang find this node; default 127.0.0.1");
  command.add_option(
      "--check", agent.check,
      "A command that ends with 0 when this node is well, besides the built-in checks");
  command
      .add_option("--check-every-ms", agent.check_ms,
                  "Between two rounds of health checks, on the average")
      ->check(CLI::Range(100, 86'400'000))
      ->capture_default_str();
  command
      .add_option("--link-port", agent.link_port,
                  "Where other nodes try how quick the way to this one is; 0: a free port (default "
                  "with --address), -1: links are not checked (default without)")
      ->check(CLI::Range(-1, 65535));
  command.add_option(
      "--baselines", agent.baselines,
      "File with what such hardware does, which nodes may share; default: in --state, "
      "learnt from the first rounds of checks");
  command.add_option("--state", node.state_dir, "Folder that survives restarts of this agent");
  command.add_option(
      "--images", agent.images,
      "Folder for images of processes; the same one, on shared storage, for all nodes "
      "between which jobs move; default: images in --state");
  command
      .add_option("--cuda-driver", agent.cuda_driver,
                  "The library that takes GPUs off processes that are saved as they are")
      ->capture_default_str();
  command
      .add_option("--criu", agent.criu,
                  "The program that saves processes as they are; 'hearth forge probe' tries it")
      ->capture_default_str();
}

void run_forge_node(ForgeNode node, const Clock& clock) {
  std::signal(SIGPIPE, SIG_IGN);
  // A node that others can find has ways to them, too.
  if (node.agent.link_port == forge::AgentOptions::kLinksByAddress)
    node.agent.link_port = node.agent.address.empty() ? -1 : 0;
  if (node.agent.address.empty()) node.agent.address = "127.0.0.1";
  node.agent.state_dir = std::filesystem::absolute(node.state_dir).string();
  node.agent.keeper = {"/proc/self/exe", "--log-level", "warn", "forge", "keeper"};
  node.agent.keeper[0] = std::filesystem::read_symlink("/proc/self/exe").string();
  node.agent.prober = {node.agent.keeper[0], "--log-level", "error", "forge", "probe"};
  if (node.agent.baselines.empty()) node.agent.baselines = node.agent.state_dir + "/baselines";
  node.agent.images = node.agent.images.empty()
                          ? node.agent.state_dir + "/images"
                          : std::filesystem::absolute(node.agent.images).string();
  forge::AgentService(node.agent, clock).run();
}

void add_forge_agent(CLI::App& forge) {
  CLI::App* agent = forge.add_subcommand("agent", "The program of a node: runs what it is told");
  auto node = std::make_shared<ForgeNode>();
  auto token_file = std::make_shared<std::string>();
  agent
      ->add_option("--url,--server", node->agent.url,
                   "The server, http://HOST:PORT; several, of which one decides, with commas")
      ->envname("HEARTH_FORGE_URL")
      ->required();
  agent->add_option("--token", node->agent.token, "What the server's file forge.token holds")
      ->envname("HEARTH_FORGE_TOKEN");
  agent->add_option("--token-file", *token_file, "A copy of that file")->check(CLI::ExistingFile);
  add_node_flags(*agent, *node);
  agent->callback([node, token_file] { run_agent(*node, *token_file); });

  CLI::App* probe = forge.add_subcommand(
      "probe", "Tries whether processes can be saved on this machine, and says what to do if not");
  auto asked = std::make_shared<Probe>();
  probe->add_option("--criu", asked->program, "The program CRIU, or where it is")
      ->capture_default_str();
  probe->add_option("--folder", asked->folder, "A folder for the trial, which is removed")
      ->capture_default_str();
  probe->add_option("--out", asked->out, "Write what was found there, for keepers");
  probe->callback([asked] { run_probe(*asked); });

  CLI::App* keeper = forge.add_subcommand("keeper", "");
  keeper->group("");  // not for people
  auto folder = std::make_shared<std::string>();
  auto terms = std::make_shared<forge::KeeperTerms>();
  const std::map<std::string, forge::KeeperPlace> places{
      {"here", forge::KeeperPlace::kHere}, {"elsewhere", forge::KeeperPlace::kElsewhere}};
  keeper->add_option("FOLDER", *folder)->required();
  keeper->add_option("--place", terms->place)->transform(CLI::CheckedTransformer(places));
  keeper->add_option("--devices", terms->devices);
  keeper->callback([folder, terms] {
    if (const int status = forge::keep_run(*folder, *terms); status != 0)
      throw CLI::RuntimeError(status);
  });
}

}  // namespace hearth::apps
