// An HTTP/1.1 client for programs that ask other servers (`hearth bench serve`, `hearth chat
// --url`). Blocking, one thread per client object; the connection stays open between requests to
// the same place. http and https, system certificates.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "transport/http.h"

namespace hearth::transport {

struct ClientRequest {
  std::string method = "GET";
  std::string url;  // http://host[:port]/path?query or https://...
  Headers headers;
  std::string body;
  int64_t connect_timeout_ms = 10'000;
  int64_t silence_timeout_ms = 300'000;  // the longest wait for the next byte of the answer
};

struct ClientStream {
  std::function<void(const HttpResponse& head)> on_head;
  // False: enough; the connection is closed and stream() returns.
  std::function<bool(std::string_view bytes)> on_bytes;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  // Hands the body on as it arrives. Throws Error{kIo} naming the address, and kInvalidArgument for
  // a URL that is none. An answer of any status is an answer, not an error.
  virtual void stream(const ClientRequest& request, const ClientStream& sink) = 0;

  HttpResponse send(const ClientRequest& request);
};

// Files in PEM, for servers of https. Empty: what the system trusts, and no certificate to show.
struct ClientTls {
  std::string ca_file;    // whom to trust instead of whom the system does
  std::string cert_file;  // this client's own certificate, with those above it
  std::string key_file;   // and its key
};

std::unique_ptr<HttpClient> make_http_client();
std::unique_ptr<HttpClient> make_https_client(ClientTls tls);

struct Url {
  std::string scheme;  // http or https
  std::string host;
  std::string port;
  std::string target;  // path and query, at least "/"
};

// Throws Error{kInvalidArgument}.
Url parse_url(const std::string& text);

}  // namespace hearth::transport
