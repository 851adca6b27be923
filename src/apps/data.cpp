// hearth data: from text to token shards, as a recipe says.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/train_machine.h"
#include "train/data_recipe.h"

namespace hearth::apps {

void add_data_command(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  auto threads = std::make_shared<int>(0);
  CLI::App* command =
      app.add_subcommand("data", "Make token shards for training: read, filter, tokenise, split");
  command->add_option("RECIPE", *path, "TOML: inputs, filters, split, output (docs/training.md)")
      ->required();
  command->add_option("--threads", *threads, "0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->callback([path, threads] {
    TrainMachine machine(*threads);
    const train::DataReport report =
        train::prepare_data(train::load_recipe(*path), machine.workers());
    std::fputs(train::describe(report).c_str(), stdout);
  });
}

}  // namespace hearth::apps
