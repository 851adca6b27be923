#include "transport/request_parser.h"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace hearth::transport {

namespace http = boost::beast::http;

namespace {

// "0", CRLF, CRLF: what every chunked body that has not ended still has to come. Beast, offered
// less behind a last chunk that it has seen, fails an assertion.
constexpr size_t kChunkTailBytes = 5;

}  // namespace

struct RequestParser::Impl {
  RequestLimits limits;
  http::request_parser<http::string_body> parser;
  State state = State::kHead;
  bool expects_continue = false;
  int status = 0;
  std::string refusal;
  std::string path;
  const PlanBody* plan = nullptr;
  uint64_t body_bytes_max = 0;
  std::shared_ptr<SpooledBody> spool;

  Impl(const RequestLimits& request_limits, const PlanBody* plan_body)
      : limits(request_limits), plan(plan_body), body_bytes_max(limits.body_bytes_max) {
    const bool uploads = plan != nullptr && *plan;
    parser.header_limit(static_cast<uint32_t>(limits.header_bytes_max));
    // What holds for this request is known when its head is; check_body() sees to it.
    parser.body_limit(uploads ? std::max(limits.body_bytes_max, limits.upload_bytes_max)
                              : limits.body_bytes_max);
    parser.eager(true);
  }

  void refuse(int code, std::string text) {
    state = State::kRefused;
    status = code;
    refusal = std::move(text);
  }

  void refuse(const boost::system::error_code& error, std::string_view bytes) {
    if (error == http::error::body_limit) {
      refuse_body();
    } else if (error == http::error::header_limit && bytes.find('\n') == std::string_view::npos) {
      refuse(414, target_refusal());
    } else if (error == http::error::header_limit) {
      refuse(431, fmt::format("the request head is larger than header_bytes_max = {} bytes",
                              limits.header_bytes_max));
    } else {
      refuse(400, fmt::format("not an HTTP/1.1 request: {}", error.message()));
    }
  }

  void refuse_body() {
    refuse(413, fmt::format("the request body is larger than {} = {} bytes",
                            spool ? "upload_bytes_max" : "body_bytes_max", body_bytes_max));
  }

  std::string target_refusal() const {
    return fmt::format("the request target is longer than target_bytes_max = {} bytes",
                       limits.target_bytes_max);
  }

  void check_head() {
    state = State::kBody;
    const auto& head = parser.get();
    const std::string_view target(head.target().data(), head.target().size());
    if (target.size() > limits.target_bytes_max) return refuse(414, target_refusal());
    if (head.version() >= 11 && head.find(http::field::host) == head.end()) {
      return refuse(400, "an HTTP/1.1 request needs a Host header");
    }
    auto decoded = percent_decode(target.substr(0, target.find('?')));
    if (!decoded || (target[0] != '/' && target != "*")) {
      return refuse(400, "the request target is not a path that starts with '/'");
    }
    path = std::move(*decoded);
    plan_body();
    if (parser.content_length() && *parser.content_length() > body_bytes_max) return refuse_body();
    const auto expect = head.find(http::field::expect);
    if (expect == head.end()) return;
    if (!boost::beast::iequals(expect->value(), "100-continue")) {
      return refuse(417, "the only Expect that is understood is 100-continue");
    }
    expects_continue = true;
  }

  void plan_body() {
    // The library has reserved room for the whole body. Whoever announces much has not sent it yet.
    std::string begun(parser.get().body());
    parser.get().body().swap(begun);
    const auto asked = plan != nullptr && *plan ? (*plan)(head()) : std::nullopt;
    if (!asked) return;
    try {
      spool = std::make_shared<SpooledBody>(asked->folder);
      body_bytes_max = std::min<uint64_t>(asked->bytes_max, limits.upload_bytes_max);
    } catch (const Error& error) {
      refuse(507, error.what());
    }
  }

  // What has come of the body so far.
  void check_body() {
    std::string& body = parser.get().body();
    if ((spool ? spool->size() : 0) + body.size() > body_bytes_max) return refuse_body();
    if (!spool) return;
    try {
      spool->append(body);
      body.clear();
    } catch (const Error& error) {
      refuse(507, error.what());
    }
  }

  HttpRequest head() const {
    const auto& message = parser.get();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.path = path;
    const std::string_view target(message.target().data(), message.target().size());
    if (const size_t mark = target.find('?'); mark != std::string_view::npos) {
      request.query = std::string(target.substr(mark + 1));
    }
    for (const auto& field : message) {
      request.headers.add(std::string(field.name_string()), std::string(field.value()));
    }
    request.minor_version = static_cast<int>(message.version() % 10);
    request.keep_alive = message.keep_alive();
    return request;
  }
};

RequestParser::RequestParser(const RequestLimits& limits, const PlanBody* plan)
    : impl_(std::make_unique<Impl>(limits, plan)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

RequestParser::State RequestParser::state() const { return impl_->state; }
bool RequestParser::spooling() const { return impl_->spool != nullptr; }
int RequestParser::status() const { return impl_->status; }
const std::string& RequestParser::refusal() const { return impl_->refusal; }

bool RequestParser::take_expects_continue() {
  return std::exchange(impl_->expects_continue, false);
}

size_t RequestParser::feed(std::string_view bytes) {
  Impl& self = *impl_;
  size_t consumed = 0;
  // put() stops at internal borders (after a chunk header, say); it is done when it asks for more.
  while (self.state == State::kHead || self.state == State::kBody) {
    const std::string_view rest = bytes.substr(consumed);
    if (rest.empty()) break;
    if (self.state == State::kBody && self.parser.chunked() && rest.size() < kChunkTailBytes) break;
    boost::system::error_code error;
    const size_t taken =
        self.parser.put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    consumed += taken;
    if (error && error != http::error::need_more) {
      self.refuse(error, rest);
      break;
    }
    if (self.state == State::kHead && self.parser.is_header_done()) self.check_head();
    if (self.state == State::kBody) self.check_body();
    if (self.state == State::kBody && self.parser.is_done()) self.state = State::kDone;
    if (error == http::error::need_more || taken == 0) break;
  }
  return consumed;
}

HttpRequest RequestParser::take() {
  Impl& self = *impl_;
  CHECK(self.state == State::kDone, "take() of an unfinished request");
  HttpRequest request = self.head();
  request.body = std::move(self.parser.get().body());
  request.spooled = std::move(self.spool);
  return request;
}

}  // namespace hearth::transport
