#include "forge/server/door.h"

#include <algorithm>
#include <fmt/format.h>

#include "forge/client/leader_client.h"
#include "forge/server/answers.h"
#include "io/json.h"

namespace hearth::forge {

using transport::HttpRequest;
using transport::HttpResponse;

namespace {

bool same_text(std::string_view a, std::string_view b) {
  unsigned char different = a.size() != b.size();
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    different |= static_cast<unsigned char>(a[i] ^ b[i]);
  return different == 0;
}

// The path came decoded.
std::string encoded_path(const std::string& path) {
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// May be asked again, here or elsewhere: it is not known whether it came to anything.
HttpResponse nobody_decides() {
  HttpResponse out =
      refusal_response(ErrorCode::kUnavailable, "no server decides at the moment; ask again");
  out.headers.add("Retry-After", "1");
  out.headers.add(kLeaderHeader, kNoLeader);
  return out;
}

HttpResponse elsewhere(const std::string& leader, const HttpRequest& request) {
  if (leader.empty()) return nobody_decides();
  HttpResponse out =
      refusal_response(ErrorCode::kUnavailable, "the server that decides is " + leader);
  out.status = 307;
  const std::string query = request.query.empty() ? "" : "?" + request.query;
  out.headers.add("Location", leader + encoded_path(request.path) + query);
  out.headers.add(kLeaderHeader, leader);
  return out;
}

// What a server did not come to answer while it decided, another one will.
Api::Exchange answered_in_any_case(Api::Exchange exchange) {
  transport::HttpExchange* const raw = exchange.get();
  return {raw, [kept = std::move(exchange)](transport::HttpExchange*) {
            kept->respond(nobody_decides());
          }};
}

}  // namespace

bool Door::authorised(const HttpRequest& request) const {
  const std::string* header = request.headers.find("Authorization");
  if (header && same_text(*header, "Bearer " + token_)) return true;
  // A page's EventSource cannot send headers; reading only.
  const auto token = transport::query_value(request.query, "token");
  return request.method == "GET" && token && same_text(*token, token_);
}

bool Door::answer_open(transport::HttpExchange& exchange, const Seat& seat) const {
  const HttpRequest& request = exchange.request();
  if (request.path == "/healthz") {
    exchange.respond({200, {}, "ok\n"});
  } else if (request.path == "/version") {
    // By which the page knows what stands behind it.
    exchange.respond(json_response(200, {{"version", version_}, {"service", "forge"}}));
  } else if (auto file = web_.answer(request)) {
    // A browser takes the token along: it is behind the '#'.
    exchange.respond(seat.reign ? std::move(*file) : elsewhere(seat.leader, request));
  } else {
    return false;
  }
  return true;
}

void Door::handle(const Api::Exchange& exchange) {
  guarded(*exchange, [&] {
    const HttpRequest& request = exchange->request();
    const Seat seat = seat_();
    if (answer_open(*exchange, seat)) return;
    if (!authorised(request)) {
      throw_error(ErrorCode::kUnauthorized, "Authorization",
                  "expected 'Bearer TOKEN' with what is in the server's file forge.token");
    }
    if (take_log(*exchange)) return;
    if (!seat.reign) return exchange->respond(elsewhere(seat.leader, request));
    seat.reign->api.handle(answered_in_any_case(exchange));
  });
}

// Every server keeps the logs that come to it, so that whoever decides next has them.
bool Door::take_log(transport::HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  const std::vector<std::string> words = words_of(request.path);
  if (request.method != "POST" || words.size() != 5 || words[0] != "v1" || words[1] != "forge" ||
      words[2] != "agents" || words[4] != "logs") {
    return false;
  }
  const LogKey key{job_number(transport::query_value(request.query, "job").value_or("")),
                   query_number(request, "epoch", 0),
                   static_cast<int32_t>(query_number(request, "rank", 0))};
  const int64_t offset = query_number(request, "offset", 0);
  const std::string bytes = exchange.take_body();
  exchange.respond(json_response(200, {{"size", logs_.append(key, offset, bytes)}}));
  return true;
}

}  // namespace hearth::forge
