// The answer to one HTTP request with what every answer has: the request id, CORS, the shape of
// errors, and a count of it. Any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "io/json_fwd.h"
#include "serve/api_error.h"
#include "serve/metrics.h"
#include "transport/http.h"

namespace hearth::serve {

class Reply : public std::enable_shared_from_this<Reply> {
 public:
  struct Setup {
    std::string request_id;
    std::string allowed_origin;  // empty: no CORS headers
    std::string route;           // the label of metrics
    ErrorShape shape = ErrorShape::kOpenAi;
  };

  Reply(std::shared_ptr<transport::HttpExchange> exchange, Setup setup, Metrics& metrics);

  const transport::HttpRequest& request() const { return exchange_->request(); }
  std::string take_body() { return exchange_->take_body(); }
  const std::string& request_id() const { return setup_.request_id; }

  // Of the answer; before it is given.
  void set_header(const std::string& name, const std::string& value);
  void json(int status, const io::Json& body);
  void raw(transport::HttpResponse response);
  // Before the stream: a status and a JSON body. Inside it: an event, and the end.
  void error(const ApiError& error);

  // An answer in pieces that are no events. The head of `response` counts, not its body.
  void begin_stream(transport::HttpResponse response);
  void send(std::string_view bytes);

  void begin_events();
  bool streaming() const { return streaming_; }
  void event(const std::string& name, const io::Json& data);
  void event_text(const std::string& name, const std::string& data);
  void end();
  // False while the client's buffer is full.
  bool writable() const { return writable_; }

  // Kept until the answer is done with: a tenant's place, say.
  void hold(std::shared_ptr<void> place) { held_ = std::move(place); }

  // Called once if the client goes before the answer is complete, at once if it has gone already.
  void on_gone(std::function<void()> callback);
  // Called when a full buffer has drained. Set it before the first event.
  void on_writable(std::function<void()> callback);

 private:
  void add_common(transport::HttpResponse& response) const;
  void count(int status);

  const std::shared_ptr<transport::HttpExchange> exchange_;
  const Setup setup_;
  Metrics& metrics_;
  transport::Headers headers_;
  std::shared_ptr<void> held_;
  std::atomic<bool> streaming_{false};
  std::atomic<bool> writable_{true};
};

}  // namespace hearth::serve
