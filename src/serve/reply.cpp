#include "serve/reply.h"

#include <utility>

#include "io/json.h"
#include "transport/sse.h"

namespace hearth::serve {

using transport::HttpResponse;

Reply::Reply(std::shared_ptr<transport::HttpExchange> exchange, Setup setup, Metrics& metrics)
    : exchange_(std::move(exchange)), setup_(std::move(setup)), metrics_(metrics) {}

void Reply::set_header(const std::string& name, const std::string& value) {
  headers_.set(name, value);
}

void Reply::add_common(HttpResponse& response) const {
  response.headers.set("X-Request-Id", setup_.request_id);
  for (const auto& [name, value] : headers_.fields()) response.headers.set(name, value);
  if (setup_.allowed_origin.empty()) return;
  response.headers.set("Access-Control-Allow-Origin", setup_.allowed_origin);
  response.headers.set("Access-Control-Expose-Headers",
                       "X-Request-Id, Retry-After, retry-after-ms, x-ratelimit-limit-requests, "
                       "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
                       "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, "
                       "x-ratelimit-reset-tokens, x-hearth-deployment, x-hearth-utilization, "
                       "x-hearth-spillover, x-hearth-ptu-minutes");
  response.headers.set("Vary", "Origin");
}

void Reply::count(int status) {
  metrics_.http_requests.add({setup_.route, request().method, std::to_string(status)});
}

void Reply::raw(HttpResponse response) {
  add_common(response);
  count(response.status);
  exchange_->respond(std::move(response));
}

void Reply::json(int status, const io::Json& body) {
  raw({status, {{"Content-Type", "application/json"}}, io::dump_json(body)});
}

void Reply::error(const ApiError& error) {
  const io::Json body = error_json(error, setup_.shape);
  if (streaming_) {
    event(setup_.shape == ErrorShape::kAnthropic ? "error" : "", body);
    return end();
  }
  HttpResponse response{error.status, {{"Content-Type", "application/json"}}, io::dump_json(body)};
  if (error.retry_after_s)
    response.headers.add("Retry-After", std::to_string(*error.retry_after_s));
  if (error.status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  raw(std::move(response));
}

void Reply::begin_stream(HttpResponse response) {
  if (streaming_.exchange(true)) return;
  add_common(response);
  count(response.status);
  exchange_->start_stream(response);
}

void Reply::begin_events() {
  begin_stream({200,
                {{"Content-Type", "text/event-stream; charset=utf-8"},
                 {"Cache-Control", "no-cache"},
                 {"X-Accel-Buffering", "no"}},
                {}});
}

void Reply::event(const std::string& name, const io::Json& data) {
  event_text(name, io::dump_json(data));
}

void Reply::event_text(const std::string& name, const std::string& data) {
  send(transport::sse_frame(name, data));
}

void Reply::send(std::string_view bytes) {
  // Before the send: the buffer may drain, and say so, before send() has returned.
  writable_ = false;
  if (exchange_->send(bytes) != transport::SendState::kFull) writable_ = true;
}

void Reply::end() { exchange_->finish(); }

void Reply::on_gone(std::function<void()> callback) {
  exchange_->on_close(
      [callback = std::move(callback), &metrics = metrics_](transport::CloseReason reason) {
        metrics.streams_cut.add({transport::to_string(reason)});
        callback();
      });
}

void Reply::on_writable(std::function<void()> callback) {
  exchange_->on_writable([weak = weak_from_this(), callback = std::move(callback)] {
    const auto self = weak.lock();
    if (!self) return;
    self->writable_ = true;
    callback();
  });
}

}  // namespace hearth::serve
