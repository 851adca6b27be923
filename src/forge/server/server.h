// A Forge server: store, scheduler, routes and their threads in one object. With etcd, one of
// several, which decides when it is its turn and else says where the one is that does.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "forge/core/messages.h"
#include "forge/core/types.h"
#include "forge/etcd/etcd.h"
#include "forge/server/page.h"
#include "transport/http_server.h"

namespace hearth::forge {

struct ServerOptions {
  std::string data_dir;                 // forge.token, logs, and without etcd forge.db; one
                                        // server at a time
  transport::HttpServerOptions http{};  // where to listen
  FleetSpec fleet{};                    // its lists; nodes come with their agents
  std::string policy = "hearth";        // a name of policies()
  LeaseTerms terms{};                   // what agents are held to
  ServerPage page{};                    // for browsers
  EtcdOptions etcd{};                   // where several servers keep their state
  std::string advertise;                // where others find this one of several; empty: by its host
};

class Server {
 public:
  // Throws Error: another server has the folder, the fleet contradicts the store, ...
  Server(ServerOptions options, const Clock& clock);
  ~Server();

  void start();
  void stop();
  uint16_t port() const;
  // Where agents and clients find this server.
  std::string url() const;
  // What requests must bear; in data_dir/forge.token, readable by its owner.
  const std::string& token() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The token in a server's folder; made, from the machine's randomness, when there is none.
std::string token_in(const std::string& data_dir);

// One region, one cluster, one kind, one virtual cluster that may use it all: a machine of one's
// own.
FleetSpec single_fleet();

}  // namespace hearth::forge
