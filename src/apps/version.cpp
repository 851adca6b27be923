#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/commands.h"
#include "apps/embedded.h"
#include "backend/cpu/cpu_backend.h"

namespace hearth::apps {
namespace {

void print_version() {
  std::printf("hearth %s\n", HEARTH_VERSION);
  const ops::Kernels& kernels = backend::cpu::select_kernels();
  std::printf("cpu    %s\n", kernels.name);
  for (const ops::KernelChoice& choice : kernels.choices)
    std::printf("  %-12s %s\n", choice.op, choice.variant);
  std::printf("model  %s\n", embedded_model().empty() ? "none inside" : "ember, inside");
}

}  // namespace

void add_version_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "version", "Print the version, the kernels chosen for this machine, and what is inside");
  command->callback(print_version);
}

}  // namespace hearth::apps
