// Asks a Forge of one server or several. Everything it sends may be sent twice, so a server that is
// being started again, or another one's turn, is waited for. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/json_fwd.h"
#include "transport/http_client.h"

namespace hearth::forge {

struct ClientOptions {
  std::string url;               // http://host:port, or several with commas between
  std::string token;             // from the server's forge.token
  int64_t patience_ms = 10'000;  // for a server that does not answer
};

class Client {
 public:
  explicit Client(ClientOptions options);

  // `path` goes after /v1/forge/. Throws Error with the server's words.
  io::Json get(const std::string& path);
  io::Json post(const std::string& path, const io::Json& body);
  transport::HttpResponse get_text(const std::string& path);
  // Events as they happen, until `on_note` returns false or the connection breaks, as that to a
  // server does which is silent for too long.
  void follow(int64_t after, const std::function<bool(const io::Json&)>& on_note);

 private:
  transport::HttpResponse send(const std::string& method, const std::string& path,
                               const std::string& body);

  ClientOptions options_;
  std::unique_ptr<transport::HttpClient> http_;
};

}  // namespace hearth::forge
