// CHECK: a bug stops the process, in release builds too; whoever supervises it starts it again.
//
//   CHECK(block >= 0, "block {} of sequence {}", block, sequence);
//
// DCHECK is CHECK in debug and sanitizer builds and nothing in release: for kernels and per-token
// loops only.
#pragma once

#include <fmt/format.h>
#include <source_location>
#include <string>

namespace hearth::internal {

[[noreturn]] void check_failed(const char* condition, const std::string& text,
                               std::source_location where);

inline std::string check_text() { return {}; }

template <typename... Args>
std::string check_text(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}

}  // namespace hearth::internal

#define CHECK(condition, ...)                                                                   \
  do {                                                                                          \
    if (!(condition)) [[unlikely]]                                                              \
      ::hearth::internal::check_failed(#condition, ::hearth::internal::check_text(__VA_ARGS__), \
                                       std::source_location::current());                        \
  } while (false)

#ifdef NDEBUG
#define DCHECK(condition, ...) \
  do {                         \
  } while (false)
#else
#define DCHECK(condition, ...) CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif
