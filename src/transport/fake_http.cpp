#include "transport/fake_http.h"

#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace hearth::transport {

void FakeExchange::respond(HttpResponse response) {
  if (finished_ || closed_ || response_) return;
  response_ = std::move(response);
  end();
}

void FakeExchange::start_stream(const HttpResponse& response) {
  if (finished_ || closed_ || response_) return;
  response_ = HttpResponse{response.status, response.headers, {}};
}

SendState FakeExchange::send(std::string_view bytes) {
  if (finished_ || closed_) return SendState::kClosed;
  CHECK(response_.has_value(), "send() before start_stream()");
  response_->body += bytes;
  return full_ ? SendState::kFull : SendState::kReady;
}

void FakeExchange::finish() {
  if (!closed_) end();
}

// As a connection does: what waits for it may hold it, and would keep it for ever.
void FakeExchange::end() {
  finished_ = true;
  on_writable_ = nullptr;
  on_close_ = nullptr;
}

void FakeExchange::on_close(std::function<void(CloseReason)> callback) {
  if (closed_) return callback(*closed_);
  on_close_ = std::move(callback);
}

void FakeExchange::close(CloseReason reason) {
  if (finished_ || closed_) return;
  closed_ = reason;
  on_writable_ = nullptr;
  if (auto callback = std::exchange(on_close_, nullptr)) callback(reason);
}

void FakeExchange::drain() {
  full_ = false;
  if (const auto callback = on_writable_) callback();
}

std::shared_ptr<FakeExchange> FakeHttpClient::open(const ClientRequest& request) {
  const Url url = parse_url(request.url);
  HttpRequest incoming;
  incoming.method = request.method;
  const size_t mark = std::min(url.target.find('?'), url.target.size());
  incoming.path = percent_decode(url.target.substr(0, mark)).value_or("");
  incoming.query = mark < url.target.size() ? url.target.substr(mark + 1) : "";
  incoming.headers = request.headers;
  incoming.body = request.body;
  incoming.peer = "memory:1";
  auto exchange = std::make_shared<FakeExchange>(std::move(incoming));
  handler_(exchange);
  return exchange;
}

void FakeHttpClient::stream(const ClientRequest& request, const ClientStream& sink) {
  const auto exchange = open(request);
  size_t told = 0;
  bool head_told = false;
  for (;;) {
    const bool more = !exchange->finished() && pump_();
    if (exchange->started() && !std::exchange(head_told, true) && sink.on_head) {
      sink.on_head(HttpResponse{exchange->response().status, exchange->response().headers, {}});
    }
    if (exchange->started() && exchange->response().body.size() > told) {
      const std::string bytes = exchange->response().body.substr(told);
      told += bytes.size();
      if (sink.on_bytes && !sink.on_bytes(bytes)) return exchange->close(CloseReason::kPeerClosed);
    }
    if (exchange->finished()) return;
    if (!more) {
      throw_error(ErrorCode::kIo, request.url, "the handler did not finish its answer");
    }
  }
}

}  // namespace hearth::transport
