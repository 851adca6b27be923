// The command line of a bench: --help shows the flags, a wrong one ends the program.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdlib>

namespace hearth::bench {

inline void parse_or_exit(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
}

}  // namespace hearth::bench
