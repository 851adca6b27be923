#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/commands.h"

namespace hearth::apps {

void add_version_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("version", "Print the version and what this build and machine can do");
  command->callback([] { std::printf("hearth %s\n", HEARTH_VERSION); });
}

}  // namespace hearth::apps
