// hearth: the one program. Parses the command line and hands over to a subcommand; the only place
// where an Error that nobody else could handle becomes a message and an exit status.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "apps/commands.h"
#include "apps/help.h"
#include "base/error.h"
#include "base/log.h"

namespace hearth::apps {
namespace {

using AddCommand = void (*)(CLI::App&);

struct Command {
  const char* group;
  AddCommand add;
};

// In the order in which `hearth --help` lists them.
constexpr Command kCommands[] = {
    {"Serve and ask", add_serve_command},
    {"Serve and ask", add_chat_command},
    {"Serve and ask", add_run_command},
    {"Serve and ask", add_generate_command},
    {"Serve and ask", add_calibrate_command},
    {"Serve and ask", add_top_command},
    {"Many tenants", add_tenants_command},
    {"Many tenants", add_keys_command},
    {"Many tenants", add_usage_command},
    {"Many tenants", add_deployments_command},
    {"Train and tune", add_train_command},
    {"Train and tune", add_tune_command},
    {"Train and tune", add_merge_command},
    {"Train and tune", add_data_command},
    {"Train and tune", add_tokenizer_command},
    {"Train and tune", add_plan_command},
    {"Look at models", add_inspect_command},
    {"Look at models", add_eval_command},
    {"Look at models", add_tokenize_command},
    {"Look at models", add_export_command},
    {"Look at models", add_quantize_command},
    {"Run a fleet", add_forge_command},
    {"Measure", add_bench_command},
    {"Measure", add_sim_command},
    {"Measure", add_version_command},
};

constexpr const char* kExamples =
    "  hearth serve                          the model inside, http://127.0.0.1:8000\n"
    "  hearth serve path/to/model --port 80  a Hugging Face folder or a .gguf file\n"
    "  hearth chat path/to/model             a conversation in the terminal\n"
    "  hearth inspect path/to/model          what it is, and what fits here\n"
    "  hearth serve --help                   the flags of a command";

int run(int argc, char** argv) {
  CLI::App app{
      "Hearth: an AI supercomputer you can install.\n"
      "Train, fine-tune and serve language models with one program.",
      "hearth"};
  use_help_layout(app);
  app.require_subcommand(1);
  app.fallthrough();
  std::string log_level = "info";
  app.add_option("--log-level", log_level, "debug, info, warn, error or off")
      ->capture_default_str();
  app.parse_complete_callback([&] { log::init(log_level); });
  for (const Command& command : kCommands) {
    command.add(app);
    app.get_subcommands({}).back()->group(command.group);
  }
  app.footer(kExamples);  // after the commands: a footer that is there before becomes theirs too
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
