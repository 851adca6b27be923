#include "base/error.h"

namespace hearth {
namespace {

std::string what_text(const std::string& where, const std::string& text) {
  return where.empty() ? text : where + ": " + text;
}

}  // namespace

Error::Error(ErrorCode error_code, std::string error_text, std::string error_where)
    : std::runtime_error(what_text(error_where, error_text)),
      code(error_code),
      text(std::move(error_text)),
      where(std::move(error_where)) {}

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kUnauthorized:
      return "unauthorized";
    case ErrorCode::kForbidden:
      return "forbidden";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kTooLarge:
      return "too_large";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kDataLoss:
      return "data_loss";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

}  // namespace hearth
