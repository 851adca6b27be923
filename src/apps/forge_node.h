// What `hearth forge agent` and `hearth forge up` share: a node's description.
#pragma once

#include "base/clock.h"
#include "forge/agent/service.h"

namespace CLI {
class App;
}

namespace hearth::apps {

struct ForgeNode {
  forge::AgentOptions agent;
  std::string state_dir;
};

void add_node_flags(CLI::App& command, ForgeNode& node);
[[noreturn]] void run_forge_node(ForgeNode node, const Clock& clock);

}  // namespace hearth::apps
