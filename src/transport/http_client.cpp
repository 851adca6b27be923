#include "transport/http_client.h"

#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/error.h"
#include "transport/client_socket.h"

namespace hearth::transport {

namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr size_t kChunkBytes = size_t{16} << 10;

struct Connection {
  ClientSocket socket;
  boost::beast::flat_buffer buffer;
};

class SocketClient final : public HttpClient {
 public:
  explicit SocketClient(ClientTls tls) : tls_(std::move(tls)) {}

  void stream(const ClientRequest& request, const ClientStream& sink) override {
    const Url url = parse_url(request.url);
    const std::string place = url.scheme + "://" + url.host + ":" + url.port;
    const bool reused = connection_ && place == place_;
    if (!reused) connect(url, place, request);
    error_code error = exchange(url, request, sink);
    // The server may have closed an idle connection: nothing was answered, so ask once more. One
    // that is silent would be so again.
    if (error && reused && !answered_ && error != boost::beast::error::timeout) {
      connect(url, place, request);
      error = exchange(url, request, sink);
    }
    if (error) {
      connection_.reset();
      throw_error(ErrorCode::kIo, request.url, "{} {}: {}", request.method, place, error.message());
    }
  }

 private:
  void connect(const Url& url, const std::string& place, const ClientRequest& request) {
    connection_ = std::make_unique<Connection>();
    place_ = place;
    const error_code error = connection_->socket.connect(url, tls_, request.connect_timeout_ms);
    if (error) {
      connection_.reset();
      throw_error(ErrorCode::kIo, request.url, "cannot connect to {}: {}", place, error.message());
    }
  }

  error_code exchange(const Url& url, const ClientRequest& request, const ClientStream& sink) {
    answered_ = false;
    ClientSocket& socket = connection_->socket;
    socket.set_patience(request.silence_timeout_ms);
    error_code error;
    http::write(socket, compose(url, request), error);
    if (error) return error;

    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    if (request.method == "HEAD") parser.skip(true);
    http::read_header(socket, connection_->buffer, parser, error);
    if (error) return error;
    answered_ = true;
    if (sink.on_head) sink.on_head(head_of(parser.get()));
    return read_body(parser, sink);
  }

  error_code read_body(http::response_parser<http::buffer_body>& parser, const ClientStream& sink) {
    char bytes[kChunkBytes];
    while (!parser.is_done()) {
      parser.get().body().data = bytes;
      parser.get().body().size = sizeof bytes;
      error_code error;
      http::read_some(connection_->socket, connection_->buffer, parser, error);
      if (error && error != http::error::need_buffer) return error;
      const size_t got = sizeof bytes - parser.get().body().size;
      if (got > 0 && sink.on_bytes && !sink.on_bytes({bytes, got})) {
        connection_.reset();
        return {};
      }
    }
    if (!parser.get().keep_alive()) connection_.reset();
    return {};
  }

  static http::request<http::string_body> compose(const Url& url, const ClientRequest& request) {
    http::request<http::string_body> message;
    message.version(11);
    message.method_string(request.method);
    message.target(url.target);
    const bool usual = url.port == (url.scheme == "https" ? "443" : "80");
    const std::string host =
        url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
    message.set(http::field::host, usual ? host : host + ":" + url.port);
    message.set(http::field::user_agent, "hearth");
    for (const auto& [name, value] : request.headers.fields()) message.set(name, value);
    message.body() = request.body;
    message.prepare_payload();
    return message;
  }

  static HttpResponse head_of(const http::response<http::buffer_body>& message) {
    HttpResponse head;
    head.status = static_cast<int>(message.result_int());
    for (const auto& field : message) {
      head.headers.add(std::string(field.name_string()), std::string(field.value()));
    }
    return head;
  }

  const ClientTls tls_;
  std::unique_ptr<Connection> connection_;
  std::string place_;
  bool answered_ = false;
};

}  // namespace

HttpResponse HttpClient::send(const ClientRequest& request) {
  HttpResponse response;
  std::string body;
  stream(request, {[&](const HttpResponse& head) { response = head; },
                   [&](std::string_view bytes) {
                     body += bytes;
                     return true;
                   }});
  response.body = std::move(body);
  return response;
}

std::unique_ptr<HttpClient> make_http_client() { return make_https_client({}); }

std::unique_ptr<HttpClient> make_https_client(ClientTls tls) {
  return std::make_unique<SocketClient>(std::move(tls));
}

Url parse_url(const std::string& text) {
  Url url;
  const size_t colon = text.find("://");
  url.scheme = text.substr(0, colon);
  if (colon == std::string::npos || (url.scheme != "http" && url.scheme != "https")) {
    throw_error(ErrorCode::kInvalidArgument, "url", "'{}' does not start with http:// or https://",
                text);
  }
  const size_t begin = colon + 3;
  const size_t slash = std::min(text.find_first_of("/?", begin), text.size());
  std::string authority = text.substr(begin, slash - begin);
  url.target = text.substr(slash);
  if (url.target.empty() || url.target[0] != '/') url.target.insert(0, "/");
  url.port = url.scheme == "https" ? "443" : "80";
  const size_t bracket = authority.rfind(']');
  const size_t port = authority.rfind(':');
  if (port != std::string::npos && (bracket == std::string::npos || port > bracket)) {
    url.port = authority.substr(port + 1);
    authority.resize(port);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  url.host = authority;
  const bool digits = url.port.find_first_not_of("0123456789") == std::string::npos;
  if (url.host.empty() || url.port.empty() || !digits) {
    throw_error(ErrorCode::kInvalidArgument, "url", "'{}' has no host, or a port that is no number",
                text);
  }
  return url;
}

}  // namespace hearth::transport
