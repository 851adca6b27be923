// Logging for people who run Hearth: one line an event, key=value fields, stderr by default.
//
//   log::info("model loaded name={} parameters={} ms={}", name, parameters, ms);
#pragma once

#include <spdlog/spdlog.h>
#include <string>

namespace hearth::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// Sends the log to stderr with times in UTC. `level` is one of trace, debug, info, warn, error,
// off; anything else throws Error naming the choices.
void init(const std::string& level);

}  // namespace hearth::log
