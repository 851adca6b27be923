#include "transport/http_connection.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <ctime>
#include <optional>
#include <sys/socket.h>

#include "base/check.h"
#include "base/log.h"

namespace hearth::transport {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr int64_t kLingerMs = 2'000;
constexpr size_t kReadBytes = size_t{64} << 10;

std::string http_date() {
  char text[40];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

// Line breaks in a value would let its author write headers of his own.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value) out += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  out += "\r\n";
}

std::string head_text(const HttpResponse& response) {
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\n", response.status, status_text(response.status));
  append_header(out, "Date", http_date());
  for (const auto& [name, value] : response.headers.fields()) append_header(out, name, value);
  return out;
}

class Exchange final : public HttpExchange {
 public:
  Exchange(std::shared_ptr<Connection> connection, uint64_t id, HttpRequest request)
      : connection_(std::move(connection)), id_(id), request_(std::move(request)) {}
  ~Exchange() override { connection_->abandon(id_); }

  const HttpRequest& request() const override { return request_; }
  std::string take_body() override { return std::move(request_.body); }
  void respond(HttpResponse response) override { connection_->answer(id_, std::move(response)); }
  void start_stream(const HttpResponse& response) override {
    connection_->start_stream(id_, response);
  }
  SendState send(std::string_view bytes) override { return connection_->send(id_, bytes); }
  void finish() override { connection_->finish(id_); }
  void on_close(std::function<void(CloseReason)> callback) override {
    connection_->on_close(id_, std::move(callback));
  }
  void on_writable(std::function<void()> callback) override {
    connection_->on_writable(id_, std::move(callback));
  }

 private:
  const std::shared_ptr<Connection> connection_;
  const uint64_t id_;
  HttpRequest request_;
};

}  // namespace

void ConnectionHub::remove(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex);
  connections.erase(connection);
  if (connections.empty()) emptied.notify_all();
}

HttpResponse ConnectionHub::refuse(int status, const std::string& text) const {
  if (options.refusal) return options.refusal(status, text);
  return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, text + "\n"};
}

Connection::Connection(tcp::socket socket, std::shared_ptr<ConnectionHub> hub)
    : hub_(std::move(hub)),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      parser_(hub_->options.limits, &hub_->options.plan_body) {}

void Connection::start(std::string peer) {
  peer_ = std::move(peer);
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    error_code ignored;
    self->socket_.set_option(tcp::no_delay(true), ignored);
    self->socket_.non_blocking(true, ignored);
    self->arm(self->hub_->options.idle_timeout_ms);
    self->wait_readable();
  });
}

void Connection::refuse_and_close(int status, const std::string& text) {
  asio::post(socket_.get_executor(), [self = shared_from_this(), status, text] {
    error_code ignored;
    self->socket_.non_blocking(true, ignored);
    self->refuse(status, text);
  });
}

void Connection::wind_down() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    const bool idle = self->phase_ == Phase::kReading && !self->request_begun_;
    if (idle) return self->close(CloseReason::kServerStops);
    self->keep_alive_ = false;
  });
}

void Connection::cut() {
  asio::post(socket_.get_executor(),
             [self = shared_from_this()] { self->close(CloseReason::kServerStops); });
}

void Connection::answer(uint64_t id, HttpResponse response) {
  const bool bodyless = response.status == 204 || response.status == 304;
  if (!bodyless) response.headers.set("Content-Length", std::to_string(response.body.size()));
  const std::lock_guard lock(mutex_);
  if (!accepts(id) || head_sent_) return;
  append_head(response);
  if (!head_only_ && !bodyless) out_ += response.body;
  ended_ = true;
  schedule_flush();
}

void Connection::start_stream(uint64_t id, const HttpResponse& response) {
  const std::lock_guard lock(mutex_);
  if (!accepts(id) || head_sent_) return;
  HttpResponse head{response.status, response.headers, {}};
  if (chunked_) head.headers.set("Transfer-Encoding", "chunked");
  append_head(head);
  schedule_flush();
}

SendState Connection::send(uint64_t id, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (!accepts(id)) return SendState::kClosed;
  CHECK(head_sent_, "send() before start_stream()");
  if (!bytes.empty() && !head_only_) {
    if (chunked_) out_ += fmt::format("{:x}\r\n", bytes.size());
    out_ += bytes;
    if (chunked_) out_ += "\r\n";
    write_now();
  }
  if (out_.size() + in_flight_ < hub_->options.stream_buffer_bytes) return SendState::kReady;
  full_ = true;
  return SendState::kFull;
}

void Connection::finish(uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (!accepts(id)) return;
  CHECK(head_sent_, "finish() before start_stream()");
  if (chunked_ && !head_only_) out_ += "0\r\n\r\n";
  ended_ = true;
  schedule_flush();
}

void Connection::abandon(uint64_t id) {
  {
    const std::lock_guard lock(mutex_);
    if (!accepts(id)) return;
    if (head_sent_) {
      // The body cannot be completed truthfully; closing tells the client that it is cut.
      keep_alive_now_ = false;
      ended_ = true;
      schedule_flush();
      return;
    }
  }
  answer(id, hub_->refuse(500, "the request was dropped without an answer"));
}

void Connection::on_close(uint64_t id, std::function<void(CloseReason)> callback) {
  std::optional<CloseReason> already;
  {
    const std::lock_guard lock(mutex_);
    if (id == exchange_id_ && !closed_) {
      on_close_ = std::move(callback);
    } else if (closed_ && !ended_) {
      already = close_reason_;
    }
  }
  if (already) callback(*already);
}

void Connection::on_writable(uint64_t id, std::function<void()> callback) {
  const std::lock_guard lock(mutex_);
  if (accepts(id)) on_writable_ = std::move(callback);
}

void Connection::append_head(const HttpResponse& response) {
  out_ += head_text(response);
  if (!keep_alive_now_) out_ += "Connection: close\r\n";
  out_ += "\r\n";
  head_sent_ = true;
}

void Connection::schedule_flush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] { self->flush(); });
}

// An event goes out on the thread that made it: to wake another for each would take longer than to
// write. Nothing else writes meanwhile (a flush is scheduled until all is sent), and the socket
// stays open: close() takes the mutex first.
void Connection::write_now() {
  if (flush_scheduled_) return;
  const ssize_t wrote =
      ::send(socket_.native_handle(), out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (wrote > 0) out_.erase(0, static_cast<size_t>(wrote));
  if (!out_.empty()) schedule_flush();
}

void Connection::arm(int64_t ms) {
  timer_.expires_after(std::chrono::milliseconds(ms));
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->timer_.expiry() <= std::chrono::steady_clock::now()) self->on_timeout();
  });
}

void Connection::on_timeout() {
  if (phase_ == Phase::kAnswering) return close(CloseReason::kSlowClient);
  if (phase_ != Phase::kReading || !request_begun_) return close(CloseReason::kPeerClosed);
  refuse(408, "the request did not arrive in time (head_timeout_ms, body_timeout_ms)");
}

void Connection::wait_readable() {
  if (reading_ || phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kAnswering && in_.size() >= hub_->options.pipelined_bytes_max) return;
  reading_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    self->reading_ = false;
    if (!error) self->on_readable();
  });
}

void Connection::on_readable() {
  static thread_local std::string scratch(kReadBytes, '\0');
  error_code error;
  const size_t got = socket_.read_some(asio::buffer(scratch), error);
  if (error == asio::error::would_block || error == asio::error::try_again) {
    return wait_readable();
  }
  if (error) return close(CloseReason::kPeerClosed);
  if (phase_ != Phase::kLingering) in_.append(scratch, 0, got);
  if (phase_ == Phase::kReading) consume();
  wait_readable();
}

void Connection::consume() {
  if (in_.empty()) return;
  if (!request_begun_) {
    request_begun_ = true;
    arm(hub_->options.head_timeout_ms);
  }
  const auto before = parser_.state();
  in_.erase(0, parser_.feed(in_));
  switch (parser_.state()) {
    case RequestParser::State::kHead:
      return;
    case RequestParser::State::kBody:
      if (before == RequestParser::State::kHead || parser_.spooling()) {
        arm(hub_->options.body_timeout_ms);
      }
      if (parser_.take_expects_continue()) write_raw("HTTP/1.1 100 Continue\r\n\r\n");
      return;
    case RequestParser::State::kDone:
      return dispatch();
    case RequestParser::State::kRefused:
      return refuse(parser_.status(), parser_.refusal());
  }
}

void Connection::write_raw(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  out_ += bytes;
  schedule_flush();
}

void Connection::refuse(int status, const std::string& text) {
  phase_ = Phase::kAnswering;
  disarm();
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    begin_exchange();
    chunked_ = head_only_ = keep_alive_now_ = false;
    id = exchange_id_;
  }
  answer(id, hub_->refuse(status, text));
}

void Connection::begin_exchange() {
  ++exchange_id_;
  ended_ = head_sent_ = full_ = false;
  on_close_ = nullptr;
  on_writable_ = nullptr;
}

void Connection::flush() {
  if (phase_ == Phase::kClosed) return;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (sent_ == sending_.size()) {
        sending_.clear();
        sent_ = 0;
        sending_.swap(out_);
      }
      in_flight_ = sending_.size() - sent_;
      if (in_flight_ == 0) {
        flush_scheduled_ = false;
        break;
      }
    }
    error_code error;
    const size_t wrote =
        socket_.write_some(asio::buffer(sending_.data() + sent_, sending_.size() - sent_), error);
    if (error == asio::error::would_block || error == asio::error::try_again) {
      return wait_writable();
    }
    if (error) return close(CloseReason::kPeerClosed);
    sent_ += wrote;
    stalled_ = false;
    notify_writable();
  }
  on_flushed();
}

void Connection::wait_writable() {
  if (!stalled_ && phase_ == Phase::kAnswering) arm(hub_->options.write_stall_ms);
  stalled_ = true;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
    if (!error) self->flush();
  });
}

void Connection::notify_writable() {
  std::function<void()> callback;
  {
    const std::lock_guard lock(mutex_);
    in_flight_ = sending_.size() - sent_;
    if (!full_ || out_.size() + in_flight_ > hub_->options.stream_buffer_bytes / 2) return;
    full_ = false;
    callback = on_writable_;
  }
  if (callback) callback();
}

void Connection::on_flushed() {
  if (phase_ != Phase::kAnswering) return;
  disarm();
  // What they hold may hold the exchange, whose end takes the lock: they die after it.
  std::function<void(CloseReason)> gone;
  std::function<void()> drained;
  {
    const std::lock_guard lock(mutex_);
    if (!ended_ || !out_.empty()) return;
    gone.swap(on_close_);
    drained.swap(on_writable_);
    if (!keep_alive_now_) keep_alive_ = false;
  }
  if (!keep_alive_ || hub_->stopping) return linger();
  phase_ = Phase::kReading;
  parser_ = RequestParser(hub_->options.limits, &hub_->options.plan_body);
  request_begun_ = false;
  arm(hub_->options.idle_timeout_ms);
  consume();
  wait_readable();
}

void Connection::linger() {
  phase_ = Phase::kLingering;
  in_.clear();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  arm(kLingerMs);
  wait_readable();
}

void Connection::close(CloseReason reason) {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  std::function<void(CloseReason)> callback, untold;
  std::function<void()> drained;  // dies after the lock, as in on_flushed()
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    close_reason_ = reason;
    // An answer that is complete but not sent has nobody to tell.
    (ended_ ? untold : callback).swap(on_close_);
    drained.swap(on_writable_);
  }
  error_code ignored;
  disarm();
  socket_.close(ignored);
  if (callback) callback(reason);
  hub_->remove(shared_from_this());
}

void Connection::dispatch() {
  phase_ = Phase::kAnswering;
  disarm();
  HttpRequest request = parser_.take();
  request.peer = peer_;
  keep_alive_ = keep_alive_ && request.keep_alive && !hub_->stopping;
  uint64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    begin_exchange();
    chunked_ = request.minor_version >= 1;
    head_only_ = request.method == "HEAD";
    // A body whose end cannot be marked ends with the connection.
    keep_alive_now_ = keep_alive_ && chunked_;
    id = exchange_id_;
  }
  auto exchange = std::make_shared<Exchange>(shared_from_this(), id, std::move(request));
  try {
    hub_->handler(exchange);
  } catch (const std::exception& error) {
    log::error("an HTTP handler failed path={} error={}", exchange->request().path, error.what());
    exchange->respond(hub_->refuse(500, "internal error"));
  }
}

}  // namespace hearth::transport
