// Requests and answers of a Forge server: their words, numbers and refusals.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "forge/core/types.h"
#include "io/json_fwd.h"
#include "transport/http.h"

namespace hearth::forge {

transport::HttpResponse json_response(int status, const io::Json& body);
transport::HttpResponse refusal_response(ErrorCode code, const std::string& text);

// A request's boundary: what goes wrong inside becomes its answer.
template <typename Work>
void guarded(transport::HttpExchange& exchange, Work work) {
  try {
    work();
  } catch (const Error& error) {
    exchange.respond(refusal_response(error.code, error.what()));
  } catch (const std::exception& error) {
    log::error("forge request path={} reason=\"{}\"", exchange.request().path, error.what());
    exchange.respond(refusal_response(ErrorCode::kInternal, error.what()));
  }
}

// These throw Error that names the field.
JobId job_number(const std::string& text);
int64_t query_number(const transport::HttpRequest& request, const char* key, int64_t fallback);

std::vector<std::string> words_of(const std::string& path);

}  // namespace hearth::forge
