// Errors as clients see them: OpenAI's and Anthropic's shapes.
#pragma once

#include <optional>
#include <string>

#include "base/error.h"
#include "engine/request.h"
#include "io/json_fwd.h"

namespace hearth::serve {

struct ApiError {
  int status = 500;
  std::string type = "server_error";
  std::string message;
  std::string param;  // empty: null on the wire
  std::string code;   // empty: null on the wire
  std::optional<int> retry_after_s;
};

// `error.where` becomes the param of a bad request.
ApiError to_api_error(const Error& error);
ApiError to_api_error(const engine::Admission& refusal, int retry_after_s);
ApiError not_found(const std::string& path);
ApiError method_not_allowed(const std::string& method, const std::string& path,
                            const std::string& allowed);
ApiError model_not_found(const std::string& asked, const std::string& available);
// Not as things stand.
ApiError conflict(const std::string& text);
ApiError bad_field(const std::string& param, const std::string& message);
// What the transport refused: 413, 414, 431, 408 ...
ApiError transport_error(int status, const std::string& text);

enum class ErrorShape { kOpenAi, kAnthropic };

io::Json error_json(const ApiError& error, ErrorShape shape);

}  // namespace hearth::serve
