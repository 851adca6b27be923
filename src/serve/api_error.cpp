#include "serve/api_error.h"

#include "io/json.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr const char* kInvalidRequest = "invalid_request_error";

const char* anthropic_type(int status) {
  switch (status) {
    case 400:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

ApiError to_api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return {400, kInvalidRequest, error.text, error.where, "invalid_value", {}};
    case ErrorCode::kUnsupported:
      return {400, kInvalidRequest, error.text, error.where, "unsupported_value", {}};
    case ErrorCode::kUnauthorized:
      return {401, kInvalidRequest, error.text, {}, "invalid_api_key", {}};
    case ErrorCode::kForbidden:
      return {403, "permission_error", error.text, {}, "forbidden", {}};
    case ErrorCode::kNotFound:
      return {404, kInvalidRequest, error.text, error.where, "not_found", {}};
    case ErrorCode::kTooLarge:
      return {413, kInvalidRequest, error.text, error.where, "too_large", {}};
    case ErrorCode::kResourceExhausted:
      return {429, "rate_limit_error", error.text, {}, "rate_limit_exceeded", 1};
    case ErrorCode::kUnavailable:
      return {503, "server_error", error.text, {}, "unavailable", 1};
    case ErrorCode::kDataLoss:
    case ErrorCode::kIo:
    case ErrorCode::kInternal:
      break;
  }
  return {500, "server_error", error.text, {}, "internal_error", {}};
}

ApiError to_api_error(const engine::Admission& refusal, int retry_after_s) {
  switch (refusal.code) {
    case engine::AdmissionCode::kQueueFull:
      return {503, "server_error", refusal.reason, {}, "queue_full", retry_after_s};
    case engine::AdmissionCode::kTooLong:
      return {400, kInvalidRequest, refusal.reason, "messages", "context_length_exceeded", {}};
    case engine::AdmissionCode::kInvalid:
      return {400, kInvalidRequest, refusal.reason, {}, "invalid_value", {}};
    case engine::AdmissionCode::kNoAdapter:
      return {404,     kInvalidRequest,   "the adapter was unloaded before the request began",
              "model", "model_not_found", {}};
    case engine::AdmissionCode::kAccepted:
      break;
  }
  return {500, "server_error", "an accepted request was taken for a refused one", {}, {}, {}};
}

ApiError not_found(const std::string& path) {
  return {404, kInvalidRequest, "there is no route " + path + "; docs/api.md lists them",
          {},  "unknown_url",   {}};
}

ApiError method_not_allowed(const std::string& method, const std::string& path,
                            const std::string& allowed) {
  return {405, kInvalidRequest,      method + " is not allowed on " + path + "; use " + allowed,
          {},  "method_not_allowed", {}};
}

ApiError model_not_found(const std::string& asked, const std::string& available) {
  return {404,
          kInvalidRequest,
          "the model '" + asked + "' is not served here; this server has '" + available + "'",
          "model",
          "model_not_found",
          {}};
}

ApiError conflict(const std::string& text) {
  return {409, kInvalidRequest, text, {}, "conflict", {}};
}

ApiError bad_field(const std::string& param, const std::string& message) {
  return {400, kInvalidRequest, message, param, "invalid_value", {}};
}

ApiError transport_error(int status, const std::string& text) {
  const char* type = status < 500 ? kInvalidRequest : "server_error";
  ApiError error{status, type, text, {}, status == 413 ? "too_large" : "", {}};
  if (status == 503) error.retry_after_s = 1;
  return error;
}

Json error_json(const ApiError& error, ErrorShape shape) {
  if (shape == ErrorShape::kAnthropic) {
    return {{"type", "error"},
            {"error", {{"type", anthropic_type(error.status)}, {"message", error.message}}}};
  }
  return {{"error",
           {{"message", error.message},
            {"type", error.type},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

}  // namespace hearth::serve
