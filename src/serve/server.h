// One model behind one port: the construction surface for programs.
//
//   Server server(options, model, clock);
//   server.start();                    // the port is open
//   ... first signal:  server.drain(); server.stop();
//   ... second signal: server.force(), from another thread
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "serve/adapter_registry.h"
#include "serve/model_handle.h"
#include "serve/server_options.h"

namespace hearth::serve {

class Server {
 public:
  // `clock` and the model's runner outlive this; the runner is called by one thread of the server.
  Server(ServerOptions options, ModelHandle model, const Clock& clock);
  ~Server();  // force(), stop()

  // Throws Error{kIo} when the port cannot be had.
  void start();
  uint16_t port() const;
  AdapterRegistry& adapters();
  // /ready says 503, new requests are refused with 503, running ones go on. Returns at once.
  void drain();
  // Drains, waits up to ServerOptions::drain_ms for running requests, and ends everything. Blocks.
  void stop();
  // Makes stop() end without waiting. Any thread.
  void force();

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::serve
