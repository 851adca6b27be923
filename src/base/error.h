// The one exception of Hearth: a request, a load or a job that cannot go on.
//
// Expected outcomes (pool full, cache miss, queue full) are values, not errors; bugs are CHECK
// (base/check.h). An Error is caught at three named boundaries only: the program's main, a request
// in serve, a job in an agent.
#pragma once

#include <fmt/format.h>
#include <stdexcept>
#include <string>
#include <utility>

namespace hearth {

enum class ErrorCode {
  kInvalidArgument,    // what the caller sent cannot be right (HTTP 400)
  kUnauthorized,       // who are you? (401)
  kForbidden,          // you may not (403)
  kNotFound,           // no such thing (404)
  kTooLarge,           // over a named limit (413)
  kResourceExhausted,  // this tenant's limit (429)
  kUnavailable,        // the engine is full or draining (503)
  kUnsupported,        // understood, and not built (400 or 501)
  kDataLoss,           // a file or stream is damaged
  kIo,                 // the operating system said no
  kInternal,           // anything else
};

const char* to_string(ErrorCode code);

// `text` says what was expected, what came, and what to do; `where` names the file, field, tensor
// or flag.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode error_code, std::string error_text, std::string error_where = {});

  const ErrorCode code;
  const std::string text;
  const std::string where;
};

// throw_error(ErrorCode::kNotFound, "config.json", "expected {} layers, found {}", a, b);
template <typename... Args>
[[noreturn]] void throw_error(ErrorCode code, std::string where, fmt::format_string<Args...> format,
                              Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...), std::move(where));
}

}  // namespace hearth
