#include "forge/client/client.h"

#include <chrono>
#include <thread>

#include "base/error.h"
#include "forge/client/leader_client.h"
#include "io/json.h"
#include "transport/sse.h"

namespace hearth::forge {

using io::Json;
using transport::HttpResponse;

namespace {

constexpr int64_t kPauseMs = 200;
constexpr int64_t kSilenceMs = 300'000;
constexpr int64_t kSilenceAmongSeveralMs = 5'000;
constexpr int64_t kSilenceOfNotesMs = 10'000;  // servers say so when there is nothing new

ErrorCode code_of(int status) {
  if (status == 401) return ErrorCode::kUnauthorized;
  if (status == 404) return ErrorCode::kNotFound;
  return status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kInternal;
}

[[noreturn]] void refused(const HttpResponse& answer) {
  const Json json = Json::parse(answer.body, nullptr, false);
  const bool words = json.is_object() && json.contains("error");
  throw Error(code_of(answer.status),
              words ? json["error"].value("message", answer.body) : answer.body);
}

}  // namespace

Client::Client(ClientOptions options)
    : options_(std::move(options)), http_(make_leader_client(options_.url)) {}

HttpResponse Client::send(const std::string& method, const std::string& path,
                          const std::string& body) {
  for (int64_t waited = 0;; waited += kPauseMs) {
    try {
      HttpResponse answer = http_->send(
          {.method = method,
           .url = "/v1/forge/" + path,
           .headers = {{"Authorization", "Bearer " + options_.token}},
           .body = body,
           .silence_timeout_ms = silence_of(options_.url, kSilenceMs, kSilenceAmongSeveralMs)});
      if (answer.status >= 300) refused(answer);
      return answer;
    } catch (const Error& error) {
      if (error.code != ErrorCode::kIo) throw;
      if (waited >= options_.patience_ms) {
        throw_error(ErrorCode::kIo, options_.url,
                    "no Forge server answers ({}); start one with `hearth forge up`", error.text);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(kPauseMs));
    }
  }
}

Json Client::get(const std::string& path) {
  return io::parse_json(send("GET", path, "").body, options_.url);
}

Json Client::post(const std::string& path, const Json& body) {
  return io::parse_json(send("POST", path, io::dump_json(body)).body, options_.url);
}

HttpResponse Client::get_text(const std::string& path) { return send("GET", path, ""); }

void Client::follow(int64_t after, const std::function<bool(const Json&)>& on_note) {
  bool more = true;
  transport::SseParser parser([&](const transport::SseEvent& event) {
    if (more) more = on_note(io::parse_json(event.data, "event"));
  });
  transport::ClientStream sink{[](const HttpResponse& head) {
                                 if (head.status >= 300) refused(head);
                               },
                               [&](std::string_view bytes) {
                                 parser.feed(bytes);
                                 return more;
                               }};
  http_->stream(
      {.url = "/v1/forge/events?follow=1&after=" + std::to_string(after),
       .headers = {{"Authorization", "Bearer " + options_.token}},
       .silence_timeout_ms = silence_of(options_.url, kSilenceOfNotesMs, kSilenceAmongSeveralMs)},
      sink);
}

}  // namespace hearth::forge
