// Where other nodes of the fleet try the way to this one: how long a word takes, and how many bytes
// go through in a moment. And the other side of it, measure_link().
//
// Bounded: a few MiB a visit, few visits at a time, and between two of them a pause. Who may come
// in knows the Forge's token: each door has a key made from it, so that no visitor shows the token
// itself to a machine of which it knows the address only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "transport/http_client.h"
#include "transport/http_server.h"

namespace hearth::forge {

// Of the door of the node of that name.
std::string link_key(const std::string& token, const std::string& node);

class LinkDoor {
 public:
  // `port` 0: a free one. Throws Error(kIo) that names the address.
  LinkDoor(const std::string& host, uint16_t port, std::string key, const Clock& clock);

  uint16_t port() const { return http_.port(); }

 private:
  void handle(transport::HttpExchange& exchange);
  bool may_transfer();

  std::string key_;
  const Clock& clock_;
  std::mutex mutex_;
  Nanos free_at_ = 0;  // guarded by mutex_
  transport::HttpServer http_;
};

struct LinkPeer {
  std::string name;
  std::string url;  // of its door
  std::string key;
};

struct LinkSpeed {
  double round_trip_ms = 0;  // the shortest of a few
  double gb_s = 0;           // the slower one of both ways
  // What passed one of the two machines' networks meanwhile, if that is more: they were busy.
  double busy_gb_s = 0;
};

enum class LinkEnd {
  kMeasured,
  kBusy,    // somebody else measures there; another time
  kClosed,  // it does not know this Forge's token
  kSilent,  // no answer, or one that broke off
};

struct LinkVisit {
  LinkEnd end = LinkEnd::kSilent;
  LinkSpeed speed;   // kMeasured
  std::string text;  // else: why
};
// Blocks for some seconds at most.
LinkVisit measure_link(const LinkPeer& peer, const Clock& clock);

// Bytes that came in and went out by all of this machine's networks so far.
struct Traffic {
  int64_t in = 0;
  int64_t out = 0;
};
Traffic traffic();
// Of /proc/net/dev's text.
Traffic traffic_in(const std::string& text);

}  // namespace hearth::forge
