#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include "base/error.h"

namespace hearth::log {

void init(const std::string& level) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    throw_error(ErrorCode::kInvalidArgument, "--log-level",
                "'{}' is not a level; use trace, debug, info, warn, error or off", level);
  }
  auto logger = spdlog::stderr_color_mt("hearth");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %v", spdlog::pattern_time_type::utc);
  logger->set_level(parsed);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace hearth::log
