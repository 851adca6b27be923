// For tests of the API: a service over the fake model, driven by hand in one thread.
#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "io/json.h"
#include "serve/fake_model.h"
#include "serve/service.h"
#include "transport/fake_http.h"

namespace hearth::serve {

inline io::Json json_of(const transport::HttpResponse& response) {
  return io::parse_json(response.body, "body");
}

struct TestHouse {
  explicit TestHouse(ServerOptions options = {}, ModelHandle model = fake_model())
      : service(with_seed(std::move(options)), with_runner(std::move(model)), clock, executor,
                executor),
        client([this](auto exchange) { service.handle(std::move(exchange)); },
               [this] { return turn(); }) {}

  // What is queued holds on to the service.
  ~TestHouse() {
    while (executor.run_one()) {
    }
  }

  // A little of the work that is left; false when there is none.
  bool turn() {
    clock.advance(kMillisecond);
    const bool stepped = service.engine().turn();
    bool ran = false;
    while (executor.run_one()) ran = true;
    return stepped || ran;
  }

  static transport::ClientRequest request(const std::string& method, const std::string& path,
                                          const std::string& body = {}) {
    return {method, "http://fake" + path, {{"Content-Type", "application/json"}}, body};
  }
  transport::HttpResponse post(const std::string& path, const std::string& body) {
    return client.send(request("POST", path, body));
  }
  transport::HttpResponse get(const std::string& path) { return client.send(request("GET", path)); }

  FakeClock clock{kSecond};
  ManualExecutor executor;
  FakeAdapters adapters;
  FakeRunner runner{&adapters};
  Service service;
  transport::FakeHttpClient client;

 private:
  static ServerOptions with_seed(ServerOptions options) {
    if (options.id_seed == 0) options.id_seed = 1;
    return options;
  }
  ModelHandle with_runner(ModelHandle model) {
    model.runner = &runner;
    model.adapters = &adapters;
    model.engine.adapter_pages = 4;
    return model;
  }
};

}  // namespace hearth::serve
