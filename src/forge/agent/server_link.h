// What an agent's program says to a Forge server over HTTP, or to the one of several that decides,
// for one node or for many. Each method blocks; each thread that calls one has a link of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "forge/core/messages.h"
#include "transport/http_client.h"

namespace hearth::forge {

struct ServerPlace {
  std::string url;  // http://host:port, or several with commas between
  std::string token;
  int64_t answer_ms = 10'000;  // the longest wait for an answer
};

struct Enrolled {
  NodeId node = 0;
  LeaseTerms terms;
};
// Of a node; empty names: the fleet's first.
struct NodeCard {
  std::string name;
  std::string cluster;
  std::string kind;
  int32_t devices = 1;
  std::string address;
  int32_t link_port = 0;  // of its link_door.h; 0: none
};

class ServerLink {
 public:
  explicit ServerLink(ServerPlace place);

  // Waits for the server as long as it takes; throws Error when it refuses the node.
  Enrolled enroll(const NodeCard& card);
  // Hands every command on until the connection breaks, which is an Error(kIo). `on_open`: from now
  // on nothing is missed. False: the server does not know these nodes.
  bool read_commands(const std::vector<std::string>& nodes, int64_t silence_ms,
                     const std::function<void()>& on_open,
                     const std::function<void(Command)>& on_command);
  // `node`: one of those that the events are about.
  void send_events(const std::string& node, const std::vector<Event>& events);
  // A POST below /v1/forge/nodes; its status.
  int change_node(const std::string& node, const std::string& verb);

 private:
  transport::ClientRequest request(const char* method, const std::string& path,
                                   std::string body) const;

  ServerPlace place_;
  std::unique_ptr<transport::HttpClient> http_;
};

// How long an agent that holds such leases waits for a server before it looks for
// another one, where there are several: the workers must not die for it.
int64_t patience_with(const std::string& urls, Millis lease_ms);

// Runs `work` for ever; what breaks is said once and tried again a little later.
[[noreturn]] void keep_trying(const char* what, const std::function<void()>& work);

}  // namespace hearth::forge
