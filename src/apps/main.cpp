// hearth: the one program. Parses the command line and hands over to a subcommand; the only place
// where an Error that nobody else could handle becomes a message and an exit status.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "apps/commands.h"
#include "base/error.h"
#include "base/log.h"

namespace hearth::apps {
namespace {

using AddCommand = void (*)(CLI::App&);

// In the order in which `hearth --help` lists them.
constexpr AddCommand kCommands[] = {
    add_serve_command,       add_chat_command,     add_run_command,    add_generate_command,
    add_train_command,       add_tune_command,     add_merge_command,  add_data_command,
    add_tokenizer_command,   add_eval_command,     add_plan_command,   add_calibrate_command,
    add_deployments_command, add_inspect_command,  add_export_command, add_quantize_command,
    add_bench_command,       add_tokenize_command, add_forge_command,  add_sim_command,
    add_version_command,
};

int run(int argc, char** argv) {
  CLI::App app{
      "Hearth: an AI supercomputer you can install.\n"
      "Train, fine-tune and serve language models with one program."};
  app.require_subcommand(1);
  app.fallthrough();
  std::string log_level = "info";
  app.add_option("--log-level", log_level, "debug, info, warn, error or off")
      ->capture_default_str();
  app.parse_complete_callback([&] { log::init(log_level); });
  for (AddCommand add : kCommands) add(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return 0;
}

}  // namespace
}  // namespace hearth::apps

int main(int argc, char** argv) {
  try {
    return hearth::apps::run(argc, argv);
  } catch (const hearth::Error& error) {
    std::fprintf(stderr, "hearth: %s\n", error.what());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hearth: unexpected: %s\n", error.what());
  }
  return 1;
}
