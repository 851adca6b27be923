// The API of one model without sockets or threads: give it exchanges and turn its engine. Server
// (server.h) adds both.
#pragma once

#include <memory>
#include <optional>

#include "base/clock.h"
#include "serve/adapter_registry.h"
#include "serve/engine_loop.h"
#include "serve/executor.h"
#include "serve/model_handle.h"
#include "serve/server_options.h"
#include "transport/http.h"
#include "transport/spooled_body.h"

namespace hearth::serve {

class Service {
 public:
  // `clock` and the executors outlive this; `background` is for what may take seconds.
  Service(ServerOptions options, ModelHandle model, const Clock& clock, Executor& executor,
          Executor& background);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Any thread; quick.
  void handle(std::shared_ptr<transport::HttpExchange> exchange);
  // The answer to what the transport refuses by itself.
  transport::HttpResponse refusal(int status, const std::string& text);

  // Whether the body of a request goes to a file.
  std::optional<transport::BodyPlan> plan_body(const transport::HttpRequest& head);

  EngineLoop& engine();
  AdapterRegistry& adapters();
  // Once a second: live numbers, and what the services do by themselves.
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
