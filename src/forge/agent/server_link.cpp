#include "forge/agent/server_link.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "forge/client/leader_client.h"
#include "forge/codec/messages.h"
#include "io/json.h"

namespace hearth::forge {
namespace {

constexpr auto kTryAgain = std::chrono::milliseconds(250);
constexpr Millis kShortestPatience = 1'000;

}  // namespace

void keep_trying(const char* what, const std::function<void()>& work) {
  for (bool said = false;;) {
    try {
      work();
      said = false;
    } catch (const std::exception& error) {
      if (!said) log::warn("{} broke, trying again: {}", what, error.what());
      said = true;
    }
    std::this_thread::sleep_for(kTryAgain);
  }
}

// Every heartbeat is answered, and there are eight in a lease. A quarter of it must be left for the
// next server, and another one is the fence.
int64_t patience_with(const std::string& urls, Millis lease_ms) {
  return silence_of(urls, lease_ms, std::max(kShortestPatience, lease_ms / 4));
}

ServerLink::ServerLink(ServerPlace place)
    : place_(std::move(place)), http_(make_leader_client(place_.url)) {}

transport::ClientRequest ServerLink::request(const char* method, const std::string& path,
                                             std::string body) const {
  return {.method = method,
          .url = "/v1/forge/" + path,
          .headers = {{"Authorization", "Bearer " + place_.token}},
          .body = std::move(body),
          .silence_timeout_ms = place_.answer_ms};
}

Enrolled ServerLink::enroll(const NodeCard& card) {
  const io::Json body = {{"devices", card.devices},
                         {"cluster", card.cluster},
                         {"kind", card.kind},
                         {"address", card.address},
                         {"link_port", card.link_port}};
  for (bool waited = false;; waited = true) {
    try {
      const transport::HttpResponse answer =
          http_->send(request("POST", "agents/" + card.name + "/enroll", io::dump_json(body)));
      const io::Json json = io::parse_json(answer.body, "enroll");
      if (answer.status != 200) {
        throw_error(ErrorCode::kInvalidArgument, place_.url, "the server refuses node {}: {}",
                    card.name,
                    json.contains("error") ? json["error"].value("message", "") : answer.body);
      }
      Enrolled out;
      out.node = json.at("node").get<NodeId>();
      out.terms.lease_ms = json.at("lease_ms").get<Millis>();
      out.terms.fence_ms = json.at("fence_ms").get<Millis>();
      out.terms.heartbeat_ms = json.at("heartbeat_ms").get<Millis>();
      return out;
    } catch (const Error& error) {
      if (error.code != ErrorCode::kIo) throw;
      if (!waited) log::warn("no server yet url={} reason=\"{}\"", place_.url, error.what());
      std::this_thread::sleep_for(kTryAgain);
    }
  }
}

bool ServerLink::read_commands(const std::vector<std::string>& nodes, int64_t silence_ms,
                               const std::function<void()>& on_open,
                               const std::function<void(Command)>& on_command) {
  codec::FrameReader frames(
      [&](std::string_view message) { on_command(codec::decode_command(message)); });
  int status = 0;
  const transport::ClientStream sink{[&](const transport::HttpResponse& head) {
                                       status = head.status;
                                       if (status == 200) on_open();
                                     },
                                     [&](std::string_view bytes) {
                                       if (status == 200) frames.feed(bytes);
                                       return true;
                                     }};
  transport::ClientRequest ask =
      request("POST", "agents/commands", io::dump_json({{"nodes", nodes}}));
  ask.silence_timeout_ms = silence_ms;
  http_->stream(ask, sink);
  return status != 404;
}

void ServerLink::send_events(const std::string& node, const std::vector<Event>& events) {
  http_->send(request("POST", "agents/" + node + "/events", codec::encode_events(events)));
}

int ServerLink::change_node(const std::string& node, const std::string& verb) {
  return http_->send(request("POST", "nodes/" + node + "/" + verb, "")).status;
}

}  // namespace hearth::forge
