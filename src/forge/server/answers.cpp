#include "forge/server/answers.h"

#include <algorithm>
#include <charconv>

#include "io/json.h"

namespace hearth::forge {
namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kDataLoss:
      return 400;
    case ErrorCode::kUnauthorized:
      return 401;
    case ErrorCode::kForbidden:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kTooLarge:
      return 413;
    case ErrorCode::kResourceExhausted:
      return 429;
    case ErrorCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

int64_t number(const std::string& text, const char* field) {
  int64_t value = 0;
  const auto end = text.data() + text.size();
  const auto [stopped, failed] = std::from_chars(text.data(), end, value);
  if (failed != std::errc() || stopped != end)
    throw_error(ErrorCode::kInvalidArgument, field, "expected a number, found '{}'", text);
  return value;
}

}  // namespace

transport::HttpResponse json_response(int status, const io::Json& body) {
  return {status, {{"Content-Type", "application/json"}}, io::dump_json(body) + "\n"};
}

transport::HttpResponse refusal_response(ErrorCode code, const std::string& text) {
  return json_response(status_of(code),
                       {{"error", {{"code", to_string(code)}, {"message", text}}}});
}

JobId job_number(const std::string& text) {
  const int64_t id = number(text, "job");
  if (id < 0 || id > INT32_MAX) throw_error(ErrorCode::kNotFound, "job", "no job {}", id);
  return static_cast<JobId>(id);
}

int64_t query_number(const transport::HttpRequest& request, const char* key, int64_t fallback) {
  const auto text = transport::query_value(request.query, key);
  return text ? number(*text, key) : fallback;
}

std::vector<std::string> words_of(const std::string& path) {
  std::vector<std::string> words;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    if (end > at) words.push_back(path.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

}  // namespace hearth::forge
