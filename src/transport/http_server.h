// An HTTP/1.1 server for thousands of open streams on a few threads.
//
// Each connection is a strand: its socket, parser and timers are touched by one thread at a time.
// Answers may be written from any thread (HttpExchange); they go through a bounded buffer per
// connection, so that whoever produces them never waits for a slow client. While an answer is being
// made the connection keeps reading, so that a client that goes away is noticed at once, also when
// nothing is being written. A client that only closes its sending side counts as gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "transport/http.h"
#include "transport/request_parser.h"

namespace hearth::transport {

struct HttpServerOptions {
  std::string host = "127.0.0.1";                // an address of this machine; 0.0.0.0 for all
  uint16_t port = 8000;                          // 0: any free port, see port()
  int io_threads = 2;                            // each serves thousands of streams
  int connections_max = 16384;                   // more are answered 503 and closed
  int backlog = 4096;                            // connections that wait to be accepted
  RequestLimits limits{};                        // of one request; see request_parser.h
  int64_t head_timeout_ms = 10'000;              // from the first byte of a head to its end
  int64_t body_timeout_ms = 120'000;             // from the end of the head to the end of the body;
                                                 // into a file: between two pieces of it
  int64_t idle_timeout_ms = 75'000;              // between two requests of one connection
  int64_t write_stall_ms = 60'000;               // a client that takes no byte for so long is cut
  size_t stream_buffer_bytes = size_t{1} << 18;  // unsent bytes over which send() says kFull
  size_t pipelined_bytes_max = size_t{64} << 10;  // read ahead while a request is being answered
  // Which bodies go to files, and how large those may be; none when empty.
  PlanBody plan_body{};
  // The answer to what never reaches the handler (413, 431, 503 ...); plain text when empty.
  std::function<HttpResponse(int status, const std::string& text)> refusal;
};

class HttpServer {
 public:
  HttpServer(HttpServerOptions options, HttpHandler handler);
  ~HttpServer();  // stop(0)
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Binds, listens and returns. Throws Error{kIo} that names the address and the cure.
  void start();
  // The port that is bound, after start().
  uint16_t port() const;
  int connections() const;
  // Closes the port and idle connections, waits up to `grace_ms` for running exchanges, cuts the
  // rest, and joins the threads. Further calls do nothing.
  void stop(int64_t grace_ms);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::transport
