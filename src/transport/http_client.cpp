#include "transport/http_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <chrono>
#include <optional>
#include <variant>

#include "base/error.h"

namespace hearth::transport {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

namespace {

using Plain = beast::tcp_stream;
using Tls = beast::ssl_stream<beast::tcp_stream>;

constexpr size_t kReadBytes = size_t{16} << 10;

class SocketClient final : public HttpClient {
 public:
  void stream(const ClientRequest& request, const ClientStream& sink) override {
    const Url url = parse_url(request.url);
    const std::string place = url.scheme + "://" + url.host + ":" + url.port;
    const bool reused = connection_ && place == place_;
    if (!reused) connect(url, place, request);
    error_code error = exchange(url, request, sink);
    // The server may have closed an idle connection: nothing was answered, so ask once more.
    if (error && reused && !answered_) {
      connect(url, place, request);
      error = exchange(url, request, sink);
    }
    if (error) {
      connection_.reset();
      throw_error(ErrorCode::kIo, request.url, "{} {}: {}", request.method, place, error.message());
    }
  }

 private:
  struct Connection {
    asio::io_context io{1};
    asio::ssl::context tls{asio::ssl::context::tls_client};
    std::variant<std::monostate, Plain, Tls> stream;
    beast::flat_buffer buffer;
  };

  // Runs what was started until it has called back.
  error_code run(const std::optional<error_code>& result) {
    connection_->io.restart();
    connection_->io.run();
    return *result;
  }

  template <typename Start>
  error_code wait(Start&& start) {
    std::optional<error_code> result;
    start([&result](error_code error, auto&&...) { result = error; });
    return run(result);
  }

  void connect(const Url& url, const std::string& place, const ClientRequest& request) {
    connection_ = std::make_unique<Connection>();
    place_ = place;
    error_code error;
    tcp::resolver resolver(connection_->io);
    const auto endpoints = resolver.resolve(url.host, url.port, error);
    if (!error)
      error = url.scheme == "https" ? connect_tls(url, endpoints, request)
                                    : connect_plain(endpoints, request);
    if (error) {
      connection_.reset();
      throw_error(ErrorCode::kIo, request.url, "cannot connect to {}: {}", place, error.message());
    }
  }

  error_code connect_tcp(Plain& stream, const tcp::resolver::results_type& endpoints,
                         const ClientRequest& request) {
    stream.expires_after(std::chrono::milliseconds(request.connect_timeout_ms));
    const error_code error =
        wait([&](auto done) { stream.async_connect(endpoints, std::move(done)); });
    if (!error) stream.socket().set_option(tcp::no_delay(true));
    return error;
  }

  error_code connect_plain(const tcp::resolver::results_type& endpoints,
                           const ClientRequest& request) {
    return connect_tcp(connection_->stream.emplace<Plain>(connection_->io), endpoints, request);
  }

  error_code connect_tls(const Url& url, const tcp::resolver::results_type& endpoints,
                         const ClientRequest& request) {
    connection_->tls.set_default_verify_paths();
    Tls& stream = connection_->stream.emplace<Tls>(connection_->io, connection_->tls);
    stream.set_verify_mode(asio::ssl::verify_peer);
    stream.set_verify_callback(asio::ssl::host_name_verification(url.host));
    SSL_set_tlsext_host_name(stream.native_handle(), url.host.c_str());
    const error_code error = connect_tcp(stream.next_layer(), endpoints, request);
    if (error) return error;
    return wait([&](auto done) {
      stream.async_handshake(asio::ssl::stream_base::client, std::move(done));
    });
  }

  error_code exchange(const Url& url, const ClientRequest& request, const ClientStream& sink) {
    answered_ = false;
    if (auto* plain = std::get_if<Plain>(&connection_->stream)) {
      return exchange_on(*plain, *plain, url, request, sink);
    }
    Tls& tls = std::get<Tls>(connection_->stream);
    return exchange_on(tls, tls.next_layer(), url, request, sink);
  }

  template <typename Stream>
  error_code exchange_on(Stream& stream, Plain& lowest, const Url& url,
                         const ClientRequest& request, const ClientStream& sink) {
    const auto patience = std::chrono::milliseconds(request.silence_timeout_ms);
    lowest.expires_after(patience);
    auto message = compose(url, request);
    error_code error =
        wait([&](auto done) { http::async_write(stream, message, std::move(done)); });
    if (error) return error;

    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    if (request.method == "HEAD") parser.skip(true);
    error = wait([&](auto done) {
      http::async_read_header(stream, connection_->buffer, parser, std::move(done));
    });
    if (error) return error;
    answered_ = true;
    if (sink.on_head) sink.on_head(head_of(parser.get()));

    char bytes[kReadBytes];
    while (!parser.is_done()) {
      parser.get().body().data = bytes;
      parser.get().body().size = sizeof bytes;
      lowest.expires_after(patience);
      error = wait([&](auto done) {
        http::async_read_some(stream, connection_->buffer, parser, std::move(done));
      });
      if (error == http::error::need_buffer) error = {};
      if (error) return error;
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

std::unique_ptr<HttpClient> make_http_client() { return std::make_unique<SocketClient>(); }

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
