#include "transport/client_socket.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "base/error.h"

namespace hearth::transport {

namespace asio = boost::asio;
namespace beast = boost::beast;
using error_code = ClientSocket::error_code;
using tcp = asio::ip::tcp;

struct ClientSocket::State {
  asio::io_context io{1};
  asio::ssl::context tls_context{asio::ssl::context::tls_client};
  beast::tcp_stream plain{io};
  std::optional<beast::ssl_stream<beast::tcp_stream&>> tls;

  // Runs what `start` begins until it has called back, or `timeout_ms` have passed.
  template <typename Start>
  error_code wait(int64_t timeout_ms, Start&& start) {
    error_code result;
    begin(timeout_ms);
    start([&result](error_code error, auto&&...) { result = error; });
    io.run();
    return result;
  }
  // The same for bytes: how many.
  template <typename Start>
  size_t transfer(int64_t timeout_ms, error_code& error, Start&& start) {
    size_t bytes = 0;
    begin(timeout_ms);
    start([&](error_code result, size_t count) { error = result, bytes = count; });
    io.run();
    return bytes;
  }
  void begin(int64_t timeout_ms) {
    plain.expires_after(std::chrono::milliseconds(timeout_ms));
    io.restart();
  }

  void load(const ClientTls& files) {
    error_code error;
    const auto expect = [&error](const std::string& file, const std::string& what) {
      if (!error) return;
      throw_error(ErrorCode::kInvalidArgument, file, "expected {} in PEM: {}", what,
                  error.message());
    };
    if (files.ca_file.empty()) {
      tls_context.set_default_verify_paths();
    } else {
      tls_context.load_verify_file(files.ca_file, error);
      expect(files.ca_file, "certificates of authorities");
    }
    if (files.cert_file.empty()) return;
    tls_context.use_certificate_chain_file(files.cert_file, error);
    expect(files.cert_file, "a certificate");
    tls_context.use_private_key_file(files.key_file, asio::ssl::context::pem, error);
    expect(files.key_file, "the key of " + files.cert_file);
  }

  error_code handshake(const Url& url, const ClientTls& files, int64_t timeout_ms) {
    load(files);
    tls.emplace(plain, tls_context);
    tls->set_verify_mode(asio::ssl::verify_peer);
    tls->set_verify_callback(asio::ssl::host_name_verification(url.host));
    SSL_set_tlsext_host_name(tls->native_handle(), url.host.c_str());
    return wait(timeout_ms, [&](auto done) {
      tls->async_handshake(asio::ssl::stream_base::client, std::move(done));
    });
  }
};

ClientSocket::ClientSocket() : state_(std::make_unique<State>()) {}
ClientSocket::~ClientSocket() = default;

error_code ClientSocket::connect(const Url& url, const ClientTls& tls, int64_t timeout_ms) {
  State& state = *state_;
  error_code error;
  const auto endpoints = tcp::resolver(state.io).resolve(url.host, url.port, error);
  if (error) return error;
  error = state.wait(timeout_ms,
                     [&](auto done) { state.plain.async_connect(endpoints, std::move(done)); });
  if (error) return error;
  state.plain.socket().set_option(tcp::no_delay(true));
  return url.scheme == "https" ? state.handshake(url, tls, timeout_ms) : error_code{};
}

size_t ClientSocket::read(asio::mutable_buffer into, error_code& error) {
  return state_->transfer(patience_ms_, error, [&](auto done) {
    if (state_->tls) {
      state_->tls->async_read_some(into, std::move(done));
    } else {
      state_->plain.async_read_some(into, std::move(done));
    }
  });
}

size_t ClientSocket::write(const Pieces& pieces, error_code& error) {
  return state_->transfer(patience_ms_, error, [&](auto done) {
    if (state_->tls) {
      state_->tls->async_write_some(pieces, std::move(done));
    } else {
      state_->plain.async_write_some(pieces, std::move(done));
    }
  });
}

}  // namespace hearth::transport
