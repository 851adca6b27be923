#include "transport/http_server.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <sys/resource.h>
#include <thread>
#include <unordered_set>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"

namespace hearth::transport {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

constexpr int64_t kLingerMs = 2'000;
constexpr int64_t kAcceptPauseMs = 50;
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

// Thousands of streams need thousands of descriptors; the soft limit of most systems is 1024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

class Connection;

// What connections need of the server.
struct Shared {
  HttpServerOptions options;
  HttpHandler handler;
  std::mutex mutex;
  std::condition_variable emptied;
  std::unordered_set<std::shared_ptr<Connection>> connections;  // guarded by mutex
  std::atomic<bool> stopping{false};

  void remove(const std::shared_ptr<Connection>& connection) {
    const std::lock_guard lock(mutex);
    connections.erase(connection);
    if (connections.empty()) emptied.notify_all();
  }

  HttpResponse refuse(int status, const std::string& text) const {
    if (options.refusal) return options.refusal(status, text);
    return {status, {{"Content-Type", "text/plain; charset=utf-8"}}, text + "\n"};
  }
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<Shared> shared)
      : shared_(std::move(shared)),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        parser_(shared_->options.limits, &shared_->options.plan_body) {}

  void start(std::string peer) {
    peer_ = std::move(peer);
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      error_code ignored;
      self->socket_.set_option(tcp::no_delay(true), ignored);
      self->socket_.non_blocking(true, ignored);
      self->arm(self->shared_->options.idle_timeout_ms);
      self->wait_readable();
    });
  }

  void refuse_and_close(int status, const std::string& text) {
    asio::post(socket_.get_executor(), [self = shared_from_this(), status, text] {
      error_code ignored;
      self->socket_.non_blocking(true, ignored);
      self->refuse(status, text);
    });
  }

  // The server stops: idle connections close, busy ones after their answer.
  void wind_down() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      const bool idle = self->phase_ == Phase::kReading && !self->request_begun_;
      if (idle) return self->close(CloseReason::kServerStops);
      self->keep_alive_ = false;
    });
  }

  void cut() {
    asio::post(socket_.get_executor(),
               [self = shared_from_this()] { self->close(CloseReason::kServerStops); });
  }

  // --- what exchanges call, from any thread; `id` is the exchange's number on this connection ---

  void answer(uint64_t id, HttpResponse response) {
    const bool bodyless = response.status == 204 || response.status == 304;
    if (!bodyless) response.headers.set("Content-Length", std::to_string(response.body.size()));
    const std::lock_guard lock(mutex_);
    if (!accepts(id) || head_sent_) return;
    append_head(response);
    if (!head_only_ && !bodyless) out_ += response.body;
    ended_ = true;
    schedule_flush();
  }

  void start_stream(uint64_t id, const HttpResponse& response) {
    const std::lock_guard lock(mutex_);
    if (!accepts(id) || head_sent_) return;
    HttpResponse head{response.status, response.headers, {}};
    if (chunked_) head.headers.set("Transfer-Encoding", "chunked");
    append_head(head);
    schedule_flush();
  }

  SendState send(uint64_t id, std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    if (!accepts(id)) return SendState::kClosed;
    CHECK(head_sent_, "send() before start_stream()");
    if (!bytes.empty() && !head_only_) {
      if (chunked_) out_ += fmt::format("{:x}\r\n", bytes.size());
      out_ += bytes;
      if (chunked_) out_ += "\r\n";
      schedule_flush();
    }
    if (out_.size() + in_flight_ < shared_->options.stream_buffer_bytes) return SendState::kReady;
    full_ = true;
    return SendState::kFull;
  }

  void finish(uint64_t id) {
    const std::lock_guard lock(mutex_);
    if (!accepts(id)) return;
    CHECK(head_sent_, "finish() before start_stream()");
    if (chunked_ && !head_only_) out_ += "0\r\n\r\n";
    ended_ = true;
    schedule_flush();
  }

  void abandon(uint64_t id) {
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
    answer(id, shared_->refuse(500, "the request was dropped without an answer"));
  }

  void on_close(uint64_t id, std::function<void(CloseReason)> callback) {
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

  void on_writable(uint64_t id, std::function<void()> callback) {
    const std::lock_guard lock(mutex_);
    if (accepts(id)) on_writable_ = std::move(callback);
  }

 private:
  enum class Phase { kReading, kAnswering, kLingering, kClosed };

  // mutex_ is held. An exchange that is finished, or of a closed connection, changes nothing.
  bool accepts(uint64_t id) const { return id == exchange_id_ && !ended_ && !closed_; }

  // mutex_ is held.
  void append_head(const HttpResponse& response) {
    out_ += head_text(response);
    if (!keep_alive_now_) out_ += "Connection: close\r\n";
    out_ += "\r\n";
    head_sent_ = true;
  }

  // mutex_ is held.
  void schedule_flush() {
    if (flush_scheduled_) return;
    flush_scheduled_ = true;
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->flush(); });
  }

  void arm(int64_t ms) {
    timer_.expires_after(std::chrono::milliseconds(ms));
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error && self->timer_.expiry() <= std::chrono::steady_clock::now()) self->on_timeout();
    });
  }

  // Not cancel() alone: a handler that is already queued looks at the expiry.
  void disarm() { timer_.expires_at(asio::steady_timer::time_point::max()); }

  void on_timeout() {
    if (phase_ == Phase::kAnswering) return close(CloseReason::kSlowClient);
    if (phase_ != Phase::kReading || !request_begun_) return close(CloseReason::kPeerClosed);
    refuse(408, "the request did not arrive in time (head_timeout_ms, body_timeout_ms)");
  }

  void wait_readable() {
    if (reading_ || phase_ == Phase::kClosed) return;
    if (phase_ == Phase::kAnswering && in_.size() >= shared_->options.pipelined_bytes_max) return;
    reading_ = true;
    socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
      self->reading_ = false;
      if (!error) self->on_readable();
    });
  }

  void on_readable() {
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

  // Feeds what was read to the parser and acts on what it makes of it.
  void consume() {
    if (in_.empty()) return;
    if (!request_begun_) {
      request_begun_ = true;
      arm(shared_->options.head_timeout_ms);
    }
    const auto before = parser_.state();
    in_.erase(0, parser_.feed(in_));
    switch (parser_.state()) {
      case RequestParser::State::kHead:
        return;
      case RequestParser::State::kBody:
        if (before == RequestParser::State::kHead || parser_.spooling()) {
          arm(shared_->options.body_timeout_ms);
        }
        if (parser_.take_expects_continue()) write_raw("HTTP/1.1 100 Continue\r\n\r\n");
        return;
      case RequestParser::State::kDone:
        return dispatch();
      case RequestParser::State::kRefused:
        return refuse(parser_.status(), parser_.refusal());
    }
  }

  void write_raw(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    out_ += bytes;
    schedule_flush();
  }

  void refuse(int status, const std::string& text) {
    phase_ = Phase::kAnswering;
    disarm();
    uint64_t id = 0;
    {
      const std::lock_guard lock(mutex_);
      begin_exchange();
      chunked_ = head_only_ = keep_alive_now_ = false;
      id = exchange_id_;
    }
    answer(id, shared_->refuse(status, text));
  }

  // mutex_ is held.
  void begin_exchange() {
    ++exchange_id_;
    ended_ = head_sent_ = full_ = false;
    on_close_ = nullptr;
    on_writable_ = nullptr;
  }

  void dispatch();

  // Writes until the socket takes no more.
  void flush() {
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

  void wait_writable() {
    if (!stalled_ && phase_ == Phase::kAnswering) arm(shared_->options.write_stall_ms);
    stalled_ = true;
    socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
      if (!error) self->flush();
    });
  }

  void notify_writable() {
    std::function<void()> callback;
    {
      const std::lock_guard lock(mutex_);
      in_flight_ = sending_.size() - sent_;
      if (!full_ || out_.size() + in_flight_ > shared_->options.stream_buffer_bytes / 2) return;
      full_ = false;
      callback = on_writable_;
    }
    if (callback) callback();
  }

  void on_flushed() {
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
    if (!keep_alive_ || shared_->stopping) return linger();
    phase_ = Phase::kReading;
    parser_ = RequestParser(shared_->options.limits, &shared_->options.plan_body);
    request_begun_ = false;
    arm(shared_->options.idle_timeout_ms);
    consume();
    wait_readable();
  }

  // Says goodbye and waits for the client to close: closing at once, with bytes unread, would reset
  // the connection and could take the answer with it.
  void linger() {
    phase_ = Phase::kLingering;
    in_.clear();
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    arm(kLingerMs);
    wait_readable();
  }

  void close(CloseReason reason) {
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
    shared_->remove(shared_from_this());
  }

  const std::shared_ptr<Shared> shared_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::string peer_;

  // Touched on the strand only.
  Phase phase_ = Phase::kReading;
  RequestParser parser_;
  std::string in_;  // read and not yet parsed
  bool reading_ = false;
  bool request_begun_ = false;
  bool keep_alive_ = true;
  bool stalled_ = false;
  std::string sending_;
  size_t sent_ = 0;

  // Guarded by mutex_.
  std::mutex mutex_;
  uint64_t exchange_id_ = 0;
  std::string out_;
  size_t in_flight_ = 0;  // unsent part of sending_
  bool flush_scheduled_ = false;
  bool chunked_ = true;
  bool head_only_ = false;
  bool keep_alive_now_ = true;
  bool head_sent_ = false;
  bool ended_ = false;
  bool full_ = false;
  bool closed_ = false;
  CloseReason close_reason_ = CloseReason::kPeerClosed;
  std::function<void(CloseReason)> on_close_;
  std::function<void()> on_writable_;
};

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

void Connection::dispatch() {
  phase_ = Phase::kAnswering;
  disarm();
  HttpRequest request = parser_.take();
  request.peer = peer_;
  keep_alive_ = keep_alive_ && request.keep_alive && !shared_->stopping;
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
    shared_->handler(exchange);
  } catch (const std::exception& error) {
    log::error("an HTTP handler failed path={} error={}", exchange->request().path, error.what());
    exchange->respond(shared_->refuse(500, "internal error"));
  }
}

}  // namespace

struct HttpServer::Impl {
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  asio::io_context io;
  tcp::acceptor acceptor{asio::make_strand(io)};
  asio::steady_timer accept_pause{acceptor.get_executor()};
  std::vector<std::thread> threads;
  uint16_t port = 0;

  void listen() {
    const HttpServerOptions& options = shared->options;
    error_code error;
    const auto address =
        asio::ip::make_address(options.host == "localhost" ? "127.0.0.1" : options.host, error);
    if (error) {
      throw_error(ErrorCode::kInvalidArgument, "--host",
                  "'{}' is not an IP address; use 127.0.0.1, 0.0.0.0, ::1 or ::", options.host);
    }
    const tcp::endpoint endpoint(address, options.port);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(options.backlog, error);
    if (error) {
      throw_error(ErrorCode::kIo, "--port",
                  "cannot listen on {}:{}: {}; choose another with --port, or stop what uses it",
                  options.host, options.port, error.message());
    }
    port = acceptor.local_endpoint().port();
  }

  void accept() {
    acceptor.async_accept(asio::make_strand(io), [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
      if (error) return pause_accepting(error);
      adopt(std::move(socket));
      accept();
    });
  }

  // Out of descriptors, usually: connections that end will free some.
  void pause_accepting(error_code error) {
    log::warn("accept failed error=\"{}\" pause_ms={}", error.message(), kAcceptPauseMs);
    accept_pause.expires_after(std::chrono::milliseconds(kAcceptPauseMs));
    accept_pause.async_wait([this](error_code canceled) {
      if (!canceled) accept();
    });
  }

  void adopt(tcp::socket socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    auto connection = std::make_shared<Connection>(std::move(socket), shared);
    bool full = false;
    {
      const std::lock_guard lock(shared->mutex);
      full = static_cast<int>(shared->connections.size()) >= shared->options.connections_max;
      shared->connections.insert(connection);
    }
    if (full) {
      return connection->refuse_and_close(
          503, fmt::format("connections_max = {} connections are open; try again later",
                           shared->options.connections_max));
    }
    connection->start(fmt::format("{}:{}", endpoint.address().to_string(), endpoint.port()));
  }

  std::vector<std::shared_ptr<Connection>> all() {
    const std::lock_guard lock(shared->mutex);
    return {shared->connections.begin(), shared->connections.end()};
  }

  bool wait_empty(int64_t ms) {
    std::unique_lock lock(shared->mutex);
    return shared->emptied.wait_for(lock, std::chrono::milliseconds(ms),
                                    [this] { return shared->connections.empty(); });
  }

  void stop(int64_t grace_ms) {
    if (threads.empty()) return;
    shared->stopping = true;
    asio::post(acceptor.get_executor(), [this] {
      error_code ignored;
      acceptor.close(ignored);
      accept_pause.cancel();
    });
    for (const auto& connection : all()) connection->wind_down();
    if (!wait_empty(grace_ms)) {
      for (const auto& connection : all()) connection->cut();
      wait_empty(kLingerMs);
    }
    io.stop();
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    // The post above may not have run; a port that still listens would leave callers waiting.
    error_code ignored;
    acceptor.close(ignored);
  }
};

HttpServer::HttpServer(HttpServerOptions options, HttpHandler handler)
    : impl_(std::make_unique<Impl>()) {
  impl_->shared->options = std::move(options);
  impl_->shared->handler = std::move(handler);
}

HttpServer::~HttpServer() { stop(0); }

void HttpServer::start() {
  raise_descriptor_limit();
  impl_->listen();
  impl_->accept();
  for (int i = 0; i < impl_->shared->options.io_threads; ++i) {
    impl_->threads.emplace_back([this] { impl_->io.run(); });
  }
}

uint16_t HttpServer::port() const { return impl_->port; }

int HttpServer::connections() const {
  const std::lock_guard lock(impl_->shared->mutex);
  return static_cast<int>(impl_->shared->connections.size());
}

void HttpServer::stop(int64_t grace_ms) { impl_->stop(grace_ms); }

}  // namespace hearth::transport
