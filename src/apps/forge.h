// The subcommands below `hearth forge`, and what they share.
#pragma once

#include <string>

#include "forge/client/client.h"

namespace CLI {
class App;
}

namespace hearth::apps {

void add_forge_server(CLI::App& forge);  // server, up
void add_forge_agent(CLI::App& forge);   // agent, and the keeper of a run
void add_forge_slurm(CLI::App& forge);   // the agent of a Slurm controller's nodes
void add_forge_route(CLI::App& forge);   // one address for the replicas of a deployment
void add_forge_cost(CLI::App& forge);    // checkpoint-cost
void add_forge_jobs(CLI::App& forge);    // submit, ps, top, logs, explain, cancel, ...

// Where a Forge server is, and the word that opens it.
struct ForgeAddress {
  std::string url;    // empty: what a server on this machine wrote into its folder
  std::string token;  // empty: the same
  std::string data_dir;
};
void add_forge_address(CLI::App& command, ForgeAddress& address);
// Throws Error when nothing says where the server is.
forge::ClientOptions find_forge(const ForgeAddress& address);

std::string default_forge_dir();

}  // namespace hearth::apps
