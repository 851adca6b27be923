// Logging for people who run Hearth: one line an event, key=value fields, on stderr.
//
//   log::info("model loaded name={} parameters={} ms={}", name, parameters, ms);
//
// Thread-safe. A line below the level costs one comparison.
#pragma once

#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

namespace hearth::log {

enum class Level { kDebug, kInfo, kWarn, kError };

// One of debug, info, warn, error, off; anything else throws Error naming the choices. Call it
// once, early in main.
void init(const std::string& level);

bool enabled(Level level);
void write(Level level, std::string_view line);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kDebug))
    write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kError))
    write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hearth::log
