// The server over real sockets on the loopback interface. Nothing sleeps: every wait is a read that
// the other side ends.
#include "transport/http_server.h"

#include <arpa/inet.h>
#include <future>  // tidy: allow threads: a server and its client are two
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/http_client.h"
#include "transport/sse.h"

namespace hearth::transport {
namespace {

// A bare socket, for what no well-behaved client would send.
class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_bytes = 0) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~RawClient() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  void write(const std::string& bytes) {
    EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Reads until `end` has come, or the server closes.
  std::string read_until(const std::string& end) {
    std::string out;
    std::string piece(size_t{1} << 16, '\0');
    while (end.empty() || !out.ends_with(end)) {
      const ssize_t got = ::recv(fd_, piece.data(), piece.size(), 0);
      if (got <= 0) break;
      out.append(piece, 0, static_cast<size_t>(got));
    }
    return out;
  }
  std::string read_all() { return read_until(""); }

 private:
  int fd_;
};

HttpServerOptions small_options() {
  HttpServerOptions options;
  options.port = 0;
  options.limits = {.target_bytes_max = 64, .header_bytes_max = 1024, .body_bytes_max = 4096};
  return options;
}

void echo(const std::shared_ptr<HttpExchange>& exchange) {
  exchange->respond({200,
                     {{"Content-Type", "text/plain"}},
                     exchange->request().method + " " + exchange->request().path + " " +
                         exchange->request().body});
}

class HttpServerTest : public testing::Test {
 protected:
  void serve(HttpServerOptions options, HttpHandler handler) {
    server_ = std::make_unique<HttpServer>(std::move(options), std::move(handler));
    server_->start();
  }
  std::string url(const std::string& path) const {
    return "http://127.0.0.1:" + std::to_string(server_->port()) + path;
  }
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  serve(small_options(), echo);
  const auto client = make_http_client();
  for (int i = 0; i < 3; ++i) {
    const HttpResponse response = client->send({"POST", url("/x"), {}, "body"});
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "POST /x body");
  }
  EXPECT_EQ(server_->connections(), 1);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  serve(small_options(), echo);
  RawClient client(server_->port());
  client.write(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string answers = client.read_all();
  const size_t first = answers.find("GET /1");
  const size_t second = answers.find("GET /2");
  const size_t third = answers.find("GET /3");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
}

TEST_F(HttpServerTest, HeadHasALengthAndNoBody) {
  serve(small_options(), echo);
  RawClient client(server_->port());
  client.write("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_NE(answer.find("Content-Length: 8\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(HttpServerTest, SendsContinueBeforeTheBody) {
  serve(small_options(), echo);
  RawClient client(server_->port());
  client.write(
      "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
      "Connection: close\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.write("ok");
  EXPECT_TRUE(client.read_all().ends_with("POST /x ok"));
}

TEST_F(HttpServerTest, RefusesTooLargeWithAWholeAnswer) {
  serve(small_options(), echo);
  RawClient client(server_->port());
  client.write("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" +
               std::string(60000, 'x'));
  const std::string answer = client.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 413 ")) << answer;
  EXPECT_NE(answer.find("body_bytes_max = 4096"), std::string::npos) << answer;
}

TEST_F(HttpServerTest, CutsASlowLoris) {
  HttpServerOptions options = small_options();
  options.head_timeout_ms = 30;
  serve(options, echo);
  RawClient client(server_->port());
  client.write("GET / HTTP/1.1\r\nHos");
  EXPECT_TRUE(client.read_all().starts_with("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, ClosesIdleConnectionsWithoutAWord) {
  HttpServerOptions options = small_options();
  options.idle_timeout_ms = 30;
  serve(options, echo);
  RawClient client(server_->port());
  EXPECT_EQ(client.read_all(), "");
}

TEST_F(HttpServerTest, StreamsFromAnotherThread) {
  std::promise<std::shared_ptr<HttpExchange>> arrived;
  serve(small_options(), [&](auto exchange) { arrived.set_value(std::move(exchange)); });
  auto producer = std::async(std::launch::async, [&] {
    const auto exchange = arrived.get_future().get();
    exchange->start_stream({200, {{"Content-Type", "text/event-stream"}}, {}});
    for (int i = 0; i < 100; ++i) exchange->send(sse_frame("", std::to_string(i)));
    exchange->finish();
  });
  std::vector<std::string> got;
  SseParser parser([&](SseEvent event) { got.push_back(event.data); });
  make_http_client()->stream({"GET", url("/"), {}, {}}, {nullptr, [&](std::string_view bytes) {
                                                           parser.feed(bytes);
                                                           return true;
                                                         }});
  ASSERT_EQ(got.size(), 100u);
  EXPECT_EQ(got.back(), "99");
}

// The only I/O thread is held in a handler meanwhile.
TEST_F(HttpServerTest, AnEventGoesOutWithoutAnIoThread) {
  HttpServerOptions options = small_options();
  options.io_threads = 1;
  std::promise<std::shared_ptr<HttpExchange>> arrived;
  std::promise<void> held, sent;
  serve(options, [&](std::shared_ptr<HttpExchange> exchange) {
    if (exchange->request().path == "/stream") return arrived.set_value(std::move(exchange));
    held.set_value();
    sent.get_future().wait();
    echo(exchange);
  });
  RawClient reader(server_->port()), other(server_->port());
  reader.write("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto exchange = arrived.get_future().get();
  exchange->start_stream({200, {}, {}});
  EXPECT_FALSE(reader.read_until("\r\n\r\n").empty());
  other.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  held.get_future().wait();
  EXPECT_EQ(exchange->send("data"), SendState::kReady);
  EXPECT_EQ(reader.read_until("data\r\n"), "4\r\ndata\r\n");
  sent.set_value();
  exchange->finish();
  EXPECT_EQ(reader.read_until("0\r\n\r\n"), "0\r\n\r\n");
}

// Whoever streams may be kept by nothing but the connection's callbacks.
TEST_F(HttpServerTest, AnExchangeThatOnlyItsCallbackHoldsEnds) {
  serve(small_options(), [](const std::shared_ptr<HttpExchange>& exchange) {
    exchange->on_writable([exchange] {});
    exchange->start_stream({200, {}, {}});
    exchange->send("streamed");
    exchange->finish();
  });
  const auto client = make_http_client();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client->send({"GET", url("/x"), {}, ""}).body, "streamed");
}

TEST_F(HttpServerTest, NoticesAClientThatGoesWhileNothingIsWritten) {
  std::promise<CloseReason> closed;
  std::shared_ptr<HttpExchange> kept;
  std::promise<void> arrived;
  serve(small_options(), [&](std::shared_ptr<HttpExchange> exchange) {
    exchange->on_close([&](CloseReason reason) { closed.set_value(reason); });
    kept = std::move(exchange);
    arrived.set_value();
  });
  RawClient client(server_->port());
  client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  arrived.get_future().wait();
  client.close();
  EXPECT_EQ(closed.get_future().get(), CloseReason::kPeerClosed);
  EXPECT_EQ(kept->send("x"), SendState::kClosed);
}

TEST_F(HttpServerTest, TellsTheProducerOfASlowClientAndOfItsRecovery) {
  HttpServerOptions options = small_options();
  options.stream_buffer_bytes = 4096;
  std::promise<std::shared_ptr<HttpExchange>> arrived;
  std::promise<void> writable;
  serve(options, [&](std::shared_ptr<HttpExchange> exchange) {
    exchange->on_writable([&] { writable.set_value(); });
    arrived.set_value(std::move(exchange));
  });
  RawClient client(server_->port());
  client.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  const auto exchange = arrived.get_future().get();
  exchange->start_stream({200, {}, {}});
  const std::string block(size_t{16} << 20, 'x');
  EXPECT_EQ(exchange->send(block), SendState::kFull);
  auto reader =
      std::async(std::launch::async, [&] { return client.read_until("0\r\n\r\n").size(); });
  writable.get_future().wait();
  exchange->finish();
  EXPECT_GT(reader.get(), block.size());
}

TEST_F(HttpServerTest, CutsAClientThatTakesNothing) {
  HttpServerOptions options = small_options();
  options.write_stall_ms = 30;
  std::promise<CloseReason> closed;
  std::shared_ptr<HttpExchange> kept;
  serve(options, [&](std::shared_ptr<HttpExchange> exchange) {
    exchange->on_close([&](CloseReason reason) { closed.set_value(reason); });
    exchange->start_stream({200, {}, {}});
    exchange->send(std::string(size_t{16} << 20, 'x'));
    kept = std::move(exchange);
  });
  RawClient client(server_->port(), 4096);
  client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(closed.get_future().get(), CloseReason::kSlowClient);
}

TEST_F(HttpServerTest, AnswersForAHandlerThatForgets) {
  serve(small_options(), [](const auto&) {});
  EXPECT_EQ(make_http_client()->send({"GET", url("/"), {}, {}}).status, 500);
}

TEST_F(HttpServerTest, RefusesConnectionsOverTheLimit) {
  HttpServerOptions options = small_options();
  options.connections_max = 1;
  serve(options, echo);
  const auto first = make_http_client();
  EXPECT_EQ(first->send({"GET", url("/"), {}, {}}).status, 200);
  EXPECT_EQ(make_http_client()->send({"GET", url("/"), {}, {}}).status, 503);
}

TEST_F(HttpServerTest, StopLetsARunningAnswerFinish) {
  std::promise<std::shared_ptr<HttpExchange>> arrived;
  serve(small_options(), [&](auto exchange) { arrived.set_value(std::move(exchange)); });
  auto asked = std::async(std::launch::async, [&] {
    return make_http_client()->send({"GET", url("/"), {}, {}}).body;
  });
  auto exchange = arrived.get_future().get();
  auto stopped = std::async(std::launch::async, [&] { server_->stop(60'000); });
  exchange->respond({200, {}, "finished"});
  exchange.reset();
  EXPECT_EQ(asked.get(), "finished");
  stopped.get();
  EXPECT_THROW(make_http_client()->send({"GET", url("/"), {}, {}}), Error);
}

TEST_F(HttpServerTest, APortInUseIsAnErrorThatNamesTheCure) {
  serve(small_options(), echo);
  HttpServerOptions options = small_options();
  options.port = server_->port();
  HttpServer second(options, echo);
  try {
    second.start();
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_NE(error.text.find("--port"), std::string::npos) << error.text;
  }
}

TEST(Url, SplitsAndRefuses) {
  const Url url = parse_url("http://[::1]:80?x");
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.target, "/?x");
  EXPECT_EQ(parse_url("https://a.b/c?d=1").port, "443");
  for (const char* text : {"a.b", "ftp://a", "http://", "http://a:b/"}) {
    EXPECT_THROW(parse_url(text), Error) << text;
  }
}

}  // namespace
}  // namespace hearth::transport
