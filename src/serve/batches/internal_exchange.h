// A request that comes from inside: its answer goes to a function instead of a socket.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "transport/http.h"

namespace hearth::serve {

class InternalExchange final : public transport::HttpExchange {
 public:
  // Called once, on any thread, with the whole answer.
  using Done = std::function<void(transport::HttpResponse)>;

  InternalExchange(transport::HttpRequest request, Done done)
      : request_(std::move(request)), done_(std::move(done)) {}
  // Who drops a request has not answered it: try again later.
  ~InternalExchange() override { respond({503, {}, {}}); }

  const transport::HttpRequest& request() const override { return request_; }
  std::string take_body() override { return std::move(request_.body); }
  void respond(transport::HttpResponse response) override {
    if (!answered_.exchange(true)) done_(std::move(response));
  }
  // Nobody who is asked from inside streams.
  void start_stream(const transport::HttpResponse& response) override { respond(response); }
  transport::SendState send(std::string_view) override { return transport::SendState::kClosed; }
  void finish() override {}
  void on_close(std::function<void(transport::CloseReason)> callback) override {
    {
      const std::lock_guard lock(mutex_);
      if (!closed_) {
        on_close_ = std::move(callback);
        return;
      }
    }
    callback(transport::CloseReason::kPeerClosed);
  }
  void on_writable(std::function<void()>) override {}

  // Nobody wants the answer any more. Any thread.
  void close() {
    std::function<void(transport::CloseReason)> callback;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      callback = std::move(on_close_);
    }
    if (callback) callback(transport::CloseReason::kPeerClosed);
  }

 private:
  transport::HttpRequest request_;
  const Done done_;
  std::mutex mutex_;
  std::function<void(transport::CloseReason)> on_close_;  // guarded by mutex_
  bool closed_ = false;                                   // likewise
  std::atomic<bool> answered_{false};
};

}  // namespace hearth::serve
