// The client's end of one connection, plain or TLS, as Boost.Beast's algorithms want a stream. Each
// call blocks until it is done or the other end was silent for too long. Not thread-safe.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/system/system_error.hpp>
#include <memory>

#include "transport/http_client.h"

namespace hearth::transport {

class ClientSocket {
 public:
  using error_code = boost::system::error_code;

  ClientSocket();
  ~ClientSocket();

  // TLS for https, with the host's name and certificate verified. Throws Error that names a file of
  // `tls` that cannot be used.
  error_code connect(const Url& url, const ClientTls& tls, int64_t timeout_ms);
  // How long a read or write may take from here on.
  void set_patience(int64_t milliseconds) { patience_ms_ = milliseconds; }

  template <typename Buffers>
  size_t read_some(const Buffers& buffers, error_code& error) {
    return read(*boost::asio::buffer_sequence_begin(buffers), error);
  }
  template <typename Buffers>
  size_t write_some(const Buffers& buffers, error_code& error) {
    Pieces pieces;
    size_t count = 0;
    auto at = boost::asio::buffer_sequence_begin(buffers);
    const auto end = boost::asio::buffer_sequence_end(buffers);
    for (; at != end && count < pieces.size(); ++at) pieces[count++] = *at;
    return write(pieces, error);
  }

  // The forms that throw, which the concept of a stream asks for.
  template <typename Buffers>
  size_t read_some(const Buffers& buffers) {
    error_code error;
    const size_t bytes = read_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return bytes;
  }
  template <typename Buffers>
  size_t write_some(const Buffers& buffers) {
    error_code error;
    const size_t bytes = write_some(buffers, error);
    if (error) throw boost::system::system_error(error);
    return bytes;
  }

 private:
  // Head and body of a request leave in one write: a serializer makes few pieces of them.
  using Pieces = std::array<boost::asio::const_buffer, 16>;

  size_t read(boost::asio::mutable_buffer into, error_code& error);
  size_t write(const Pieces& pieces, error_code& error);

  struct State;
  std::unique_ptr<State> state_;
  int64_t patience_ms_ = 0;
};

}  // namespace hearth::transport
