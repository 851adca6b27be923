// hearth forge: the fleet scheduler. This file holds what its subcommands share.
#include "apps/forge.h"

#include <CLI/CLI.hpp>

#include "apps/commands.h"
#include "apps/model_source.h"
#include "base/error.h"
#include "io/file.h"

namespace hearth::apps {
namespace {

constexpr const char* kForgeExamples =
    "  hearth forge up                           server and agent on this machine\n"
    "  hearth forge submit job.toml              then, from another terminal\n"
    "  hearth forge server --host 0.0.0.0 --fleet fleet.toml\n"
    "  hearth forge agent --url http://SERVER:8100 --token-file forge.token\n"
    "  hearth forge server --etcd http://E:2379  one of several servers\n\n"
    "Every job is on disk before `submit` says so. The server, an agent or a job may "
    "be killed at any time: nothing is lost, and nothing runs twice. docs/forge.md "
    "has it all.";

std::string first_line(const std::string& path) {
  std::string text = io::read_file(path);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

std::string default_forge_dir() { return default_data_dir() + "/forge"; }

void add_forge_address(CLI::App& command, ForgeAddress& address) {
  address.data_dir = default_forge_dir();
  command
      .add_option("--url,--server", address.url,
                  "The server, or several with commas; default: the one on this machine")
      ->envname("HEARTH_FORGE_URL");
  command.add_option("--token", address.token, "What the server's file forge.token holds")
      ->envname("HEARTH_FORGE_TOKEN");
  command.add_option("--data", address.data_dir, "The folder of the server on this machine")
      ->envname("HEARTH_FORGE_DIR")
      ->capture_default_str();
}

forge::ClientOptions find_forge(const ForgeAddress& address) {
  forge::ClientOptions out{address.url, address.token};
  const std::string url_file = address.data_dir + "/forge.url";
  if (out.url.empty() && !io::file_exists(url_file)) {
    throw_error(ErrorCode::kNotFound, "--url",
                "no Forge server has run in {}; start one with `hearth forge up`, or say where it "
                "is with --url",
                address.data_dir);
  }
  if (out.url.empty()) out.url = first_line(url_file);
  const std::string token_file = address.data_dir + "/forge.token";
  if (out.token.empty() && io::file_exists(token_file)) out.token = first_line(token_file);
  return out;
}

void add_forge_command(CLI::App& app) {
  CLI::App* forge = app.add_subcommand("forge", "Schedule jobs on one machine or on many");
  forge->require_subcommand(1);
  add_forge_server(*forge);
  add_forge_agent(*forge);
  add_forge_slurm(*forge);
  add_forge_jobs(*forge);
  add_forge_route(*forge);
  add_forge_cost(*forge);
  forge->footer(
      kForgeExamples);  // after the commands: a footer that is there before becomes theirs too
}

}  // namespace hearth::apps
