// What `--help` looks like: entries in two columns, wrapped at the width of the terminal.
#pragma once

namespace CLI {
class App;
}

namespace hearth::apps {

// For `app` and the subcommands that are added to it afterwards.
void use_help_layout(CLI::App& app);

}  // namespace hearth::apps
