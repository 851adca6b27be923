// One connection of the HTTP server: reads requests, hands each to the handler as an exchange,
// writes its answer, and goes on or closes. Its socket, timer and parser live on a strand;
// exchanges call in from any thread and reach it through a buffer under a lock.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "transport/http_server.h"
#include "transport/request_parser.h"

namespace hearth::transport {

class Connection;

// What connections need of the server.
struct ConnectionHub {
  HttpServerOptions options;
  HttpHandler handler;
  std::mutex mutex;
  std::condition_variable emptied;
  std::unordered_set<std::shared_ptr<Connection>> connections;  // guarded by mutex
  std::atomic<bool> stopping{false};

  void remove(const std::shared_ptr<Connection>& connection);
  HttpResponse refuse(int status, const std::string& text) const;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, std::shared_ptr<ConnectionHub> hub);

  void start(std::string peer);
  void refuse_and_close(int status, const std::string& text);
  // The server stops: idle connections close, busy ones after their answer.
  void wind_down();
  void cut();

  // What exchanges call, from any thread; `id` is the exchange's number on this connection.
  void answer(uint64_t id, HttpResponse response);
  void start_stream(uint64_t id, const HttpResponse& response);
  SendState send(uint64_t id, std::string_view bytes);
  void finish(uint64_t id);
  void abandon(uint64_t id);
  void on_close(uint64_t id, std::function<void(CloseReason)> callback);
  void on_writable(uint64_t id, std::function<void()> callback);

 private:
  enum class Phase { kReading, kAnswering, kLingering, kClosed };

  // With mutex_ held. An exchange that is finished, or of a closed connection, changes nothing.
  bool accepts(uint64_t id) const { return id == exchange_id_ && !ended_ && !closed_; }
  void append_head(const HttpResponse& response);
  void schedule_flush();
  // Writes what the socket takes at once; the rest, and what goes wrong, is left to the strand.
  void write_now();
  void begin_exchange();

  // On the strand, as all that follows.
  void arm(int64_t ms);
  // Not cancel() alone: a handler that is already queued looks at the expiry.
  void disarm() { timer_.expires_at(boost::asio::steady_timer::time_point::max()); }
  void on_timeout();

  void wait_readable();
  void on_readable();
  // Feeds what was read to the parser and acts on what it makes of it.
  void consume();
  void dispatch();
  void refuse(int status, const std::string& text);
  void write_raw(std::string_view bytes);

  // Writes until the socket takes no more.
  void flush();
  void wait_writable();
  void notify_writable();
  void on_flushed();
  // Says goodbye and waits for the client to close: closing at once, with bytes unread, would reset
  // the connection and could take the answer with it.
  void linger();
  void close(CloseReason reason);

  const std::shared_ptr<ConnectionHub> hub_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
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

}  // namespace hearth::transport
