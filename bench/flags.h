// The command line of a bench: --help shows the flags, a wrong one ends the program, and so does an
// error, in a line that says which.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "base/error.h"

namespace hearth::bench {

inline void parse_or_exit(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
}

// What main() returns.
template <typename Body>
int run_or_say_why(Body&& body) {
  try {
    body();
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

}  // namespace hearth::bench
