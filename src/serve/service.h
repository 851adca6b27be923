// The API of one model without sockets or threads: give it exchanges and turn its engine. Server
// (server.h) adds both.
#pragma once

#include <memory>

#include "base/clock.h"
#include "serve/adapter_registry.h"
#include "serve/engine_loop.h"
#include "serve/executor.h"
#include "serve/model_handle.h"
#include "serve/server_options.h"
#include "transport/http.h"

namespace hearth::serve {

class Service {
 public:
  // `clock` and `executor` outlive this.
  Service(ServerOptions options, ModelHandle model, const Clock& clock, Executor& executor);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Any thread; quick.
  void handle(std::shared_ptr<transport::HttpExchange> exchange);
  // The answer to what the transport refuses by itself.
  transport::HttpResponse refusal(int status, const std::string& text);

  EngineLoop& engine();
  AdapterRegistry& adapters();
  // Once a second: live numbers.
  void tick();
  // From now on readiness is 503 and new work is refused; what runs goes on.
  void drain();
  bool draining() const;
  void count_connections(std::function<int()> connections);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::serve
