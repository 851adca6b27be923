// hearth forge slurm: the agent of all nodes of a Slurm controller.
#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <memory>

#include "apps/forge.h"
#include "base/error.h"
#include "forge/slurm/bridge.h"
#include "io/file.h"

namespace hearth::apps {
namespace {

struct SlurmFlags {
  forge::SlurmBridgeOptions bridge;
  std::string token_file;
  std::string program;
  int64_t start_s = 60;
};

void run_slurm(SlurmFlags flags) {
  static const SystemClock clock;
  std::signal(SIGPIPE, SIG_IGN);
  forge::SlurmBridgeOptions& bridge = flags.bridge;
  if (!flags.token_file.empty()) bridge.token = io::read_file(flags.token_file);
  while (!bridge.token.empty() && (bridge.token.back() == '\n' || bridge.token.back() == ' '))
    bridge.token.pop_back();
  bridge.state_dir = std::filesystem::absolute(bridge.state_dir).string();
  if (flags.program.empty())
    flags.program = std::filesystem::read_symlink("/proc/self/exe").string();
  bridge.keeper = {flags.program, "--log-level", "warn", "forge", "keeper"};
  bridge.start_ms = flags.start_s * 1'000;
  forge::SlurmBridge(bridge, clock).run();
}

}  // namespace

void add_forge_slurm(CLI::App& forge) {
  CLI::App* slurm =
      forge.add_subcommand("slurm", "The agent of all nodes of a Slurm controller (docs/slurm.md)");
  auto flags = std::make_shared<SlurmFlags>();
  forge::SlurmBridgeOptions& bridge = flags->bridge;
  slurm
      ->add_option("--url,--server", bridge.url,
                   "The server, http://HOST:PORT; several, of which one decides, with commas")
      ->envname("HEARTH_FORGE_URL")
      ->required();
  slurm->add_option("--token", bridge.token, "What the server's file forge.token holds")
      ->envname("HEARTH_FORGE_TOKEN");
  slurm->add_option("--token-file", flags->token_file, "A copy of that file")
      ->check(CLI::ExistingFile);
  slurm
      ->add_option("--state", bridge.state_dir,
                   "Folder that survives restarts, on a file system that the nodes share")
      ->required();
  slurm->add_option("--cluster", bridge.cluster,
                    "Their cluster in the fleet; default: the fleet's first");
  slurm->add_option("--kind", bridge.kind, "Kind of their devices; default: the fleet's first");
  slurm->add_option("--partition", bridge.slurm.partition,
                    "Use the nodes of this partition; default: all, in the default partition");
  slurm->add_option("--gres", bridge.gres,
                    "The GRES whose pieces are the devices, say gpu; default: cores");
  slurm
      ->add_option("--cores-per-device", bridge.cores, "Without --gres: so many cores are a device")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  slurm
      ->add_option("--start-s", flags->start_s,
                   "So long a job may wait in Slurm's own queue, then it is taken back")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  slurm->add_option("--slurm-conf", bridge.slurm.conf, "The controller's slurm.conf")
      ->check(CLI::ExistingFile);
  slurm->add_option("--slurm-bin", bridge.slurm.folder,
                    "Where sbatch, squeue, sinfo and scancel are; default: in PATH");
  slurm->add_option("--sbatch", bridge.slurm.sbatch_flags,
                    "One more flag for sbatch, say --sbatch=--account=physics; may be repeated");
  slurm->add_option("--program", flags->program,
                    "This program as the nodes see it; default: the same path");
  slurm->callback([flags] { run_slurm(*flags); });
}

}  // namespace hearth::apps
