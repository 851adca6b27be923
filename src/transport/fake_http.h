// HTTP without a network: a client that calls a handler in the same thread, and an exchange that
// keeps what it was answered. For tests; nothing here waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "transport/http.h"
#include "transport/http_client.h"

namespace hearth::transport {

class FakeExchange final : public HttpExchange {
 public:
  explicit FakeExchange(HttpRequest request) : request_(std::move(request)) {}

  const HttpRequest& request() const override { return request_; }
  std::string take_body() override { return std::move(request_.body); }
  void respond(HttpResponse response) override;
  void start_stream(const HttpResponse& response) override;
  SendState send(std::string_view bytes) override;
  void finish() override;
  void on_close(std::function<void(CloseReason)> callback) override;
  void on_writable(std::function<void()> callback) override { on_writable_ = std::move(callback); }

  // The client's side.
  void close(CloseReason reason);
  // From now on send() says kFull; drain() ends that and calls on_writable.
  void fill() { full_ = true; }
  void drain();
  bool finished() const { return finished_; }
  bool started() const { return response_.has_value(); }
  // Head and everything sent so far. started() only.
  const HttpResponse& response() const { return *response_; }

 private:
  void end();

  HttpRequest request_;
  std::optional<HttpResponse> response_;
  std::optional<CloseReason> closed_;
  bool finished_ = false;
  bool full_ = false;
  std::function<void(CloseReason)> on_close_;
  std::function<void()> on_writable_;
};

class FakeHttpClient final : public HttpClient {
 public:
  // `pump` does a little of the work that the handler left for later; false: nothing is left.
  FakeHttpClient(HttpHandler handler, std::function<bool()> pump)
      : handler_(std::move(handler)), pump_(std::move(pump)) {}
  void stream(const ClientRequest& request, const ClientStream& sink) override;
  // Starts an exchange and does not pump.
  std::shared_ptr<FakeExchange> open(const ClientRequest& request);

 private:
  HttpHandler handler_;
  std::function<bool()> pump_;
};

}  // namespace hearth::transport
