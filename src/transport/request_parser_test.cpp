#include "transport/request_parser.h"

#include <filesystem>
#include <gtest/gtest.h>

namespace hearth::transport {
namespace {

const RequestLimits kSmall{.target_bytes_max = 32, .header_bytes_max = 256, .body_bytes_max = 16};

int status_of(const std::string& bytes) {
  RequestParser parser(kSmall);
  parser.feed(bytes);
  return parser.state() == RequestParser::State::kRefused ? parser.status() : 0;
}

TEST(RequestParser, TakesARequestByteByByte) {
  const std::string bytes =
      "POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-A: 1\r\n\r\nabcGET /next";
  RequestParser parser(kSmall);
  std::string pending;
  size_t used = 0;
  for (const char c : bytes) {
    if (parser.state() == RequestParser::State::kDone) break;
    pending += c;
    const size_t consumed = parser.feed(pending);
    used += consumed;
    pending.erase(0, consumed);
  }
  ASSERT_EQ(parser.state(), RequestParser::State::kDone);
  EXPECT_EQ(bytes.substr(used), "GET /next");
  const HttpRequest request = parser.take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/a b");
  EXPECT_EQ(query_value(request.query, "x"), "1");
  EXPECT_EQ(*request.headers.find("x-a"), "1");
  EXPECT_EQ(request.body, "abc");
  EXPECT_TRUE(request.keep_alive);
}

TEST(RequestParser, JoinsChunkedBodies) {
  RequestParser parser(kSmall);
  parser.feed(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  ASSERT_EQ(parser.state(), RequestParser::State::kDone);
  EXPECT_EQ(parser.take().body, "abcde");
}

TEST(RequestParser, TakesAnEmptyChunkedBodyByteByByte) {
  RequestParser parser(kSmall);
  std::string pending;
  for (const char c :
       std::string("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")) {
    pending += c;
    pending.erase(0, parser.feed(pending));
  }
  ASSERT_EQ(parser.state(), RequestParser::State::kDone);
  EXPECT_EQ(parser.take().body, "");
}

TEST(RequestParser, NamesEachLimit) {
  EXPECT_EQ(status_of("GET /" + std::string(40, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"), 414);
  EXPECT_EQ(status_of("GET /" + std::string(400, 'a')), 414);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(400, 'a') + "\r\n\r\n"),
            431);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 17\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "9\r\n123456789\r\n9\r\n123456789\r\n"),
            413);
}

TEST(RequestParser, RefusesWhatIsNotARequest) {
  EXPECT_EQ(status_of("hello world\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET http HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: h\r\nExpect: cake\r\n\r\n"), 417);
  // Two lengths, or a length beside chunks, is how requests are smuggled past a proxy.
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400);
  EXPECT_EQ(
      status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"),
      400);
}

TEST(RequestParser, SaysWhenTheClientWaitsForContinue) {
  RequestParser parser(kSmall);
  parser.feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(parser.state(), RequestParser::State::kBody);
  EXPECT_TRUE(parser.take_expects_continue());
  EXPECT_FALSE(parser.take_expects_continue());
}

// The body of /upload goes to a file of at most 100 bytes, everybody else's stays in memory.
PlanBody uploads_in(const std::string& folder) {
  return [folder](const HttpRequest& head) -> std::optional<BodyPlan> {
    if (head.path != "/upload") return std::nullopt;
    return BodyPlan{100, folder};
  };
}

TEST(RequestParser, ABodyMayGoToAFile) {
  const PlanBody plan = uploads_in(std::filesystem::temp_directory_path().string());
  const std::string body(90, 'x');
  for (const std::string& head :
       {"Content-Length: 90\r\n\r\n" + body,
        "Transfer-Encoding: chunked\r\n\r\n5a\r\n" + body + "\r\n0\r\n\r\n"}) {
    for (const size_t piece : {7ul, 1000ul}) {
      RequestParser parser({.body_bytes_max = 10}, &plan);
      const std::string bytes = "POST /upload HTTP/1.1\r\nHost: h\r\n" + head;
      std::string pending;
      for (size_t i = 0; i < bytes.size(); i += piece) {
        pending += bytes.substr(i, piece);
        pending.erase(0, parser.feed(pending));
      }
      ASSERT_EQ(parser.state(), RequestParser::State::kDone) << parser.refusal();
      EXPECT_TRUE(parser.spooling());
      const HttpRequest request = parser.take();
      EXPECT_EQ(request.body, "");
      ASSERT_NE(request.spooled, nullptr);
      EXPECT_EQ(request.spooled->size(), 90u);
      EXPECT_EQ(request.spooled->read(50) + request.spooled->read(50), body);
      EXPECT_EQ(request.spooled->read(50), "");
    }
  }
}

TEST(RequestParser, ABodyInAFileHasItsOwnLimit) {
  const PlanBody plan = uploads_in(std::filesystem::temp_directory_path().string());
  const auto status = [&](const std::string& rest) {
    RequestParser parser({.body_bytes_max = 10}, &plan);
    parser.feed("POST " + rest);
    return parser.state() == RequestParser::State::kRefused ? parser.status() : 0;
  };
  const std::string chunk = "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status("/upload HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n"), 413);
  EXPECT_EQ(status("/upload HTTP/1.1\r\nHost: h\r\n" + chunk + "65\r\n" + std::string(101, 'x') +
                   "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status("/other HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n"), 413);
  EXPECT_EQ(status("/other HTTP/1.1\r\nHost: h\r\n" + chunk + "b\r\n" + std::string(11, 'x') +
                   "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status("/other HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789"), 0);
}

TEST(RequestParser, WithoutRoomForTheFileItIsSaid) {
  const PlanBody plan = uploads_in("/nowhere/at/all");
  RequestParser parser({}, &plan);
  parser.feed("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(parser.state(), RequestParser::State::kRefused);
  EXPECT_EQ(parser.status(), 507);
}

}  // namespace
}  // namespace hearth::transport
