// HTTP as the rest of Hearth sees it: requests, responses and the exchange that joins them. No
// socket library leaks out of here; server and client are in http_server.h and http_client.h, and
// an in-memory pair for tests in fake_http.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::transport {

class SpooledBody;

// Header fields in the order they came; names compare without case.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}

  void add(std::string name, std::string value);
  // Replaces every field of that name.
  void set(const std::string& name, std::string value);
  // The first field of that name, or null.
  const std::string* find(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
  std::string method;
  std::string path;   // percent-decoded, without the query
  std::string query;  // as sent, without '?'
  Headers headers;
  std::string body;
  std::shared_ptr<SpooledBody> spooled;  // instead of `body`, where a PlanBody said so
  std::string peer;                      // address:port of the client
  int minor_version = 1;                 // HTTP/1.x
  bool keep_alive = true;                // what the client asked for
};

struct HttpResponse {
  int status = 200;
  Headers headers;
  std::string body;
};

// Why an exchange ended before its answer was complete.
enum class CloseReason {
  kPeerClosed,   // the client went away
  kSlowClient,   // the client took no byte for HttpServerOptions::write_stall_ms
  kServerStops,  // stop() ran out of grace
};

const char* to_string(CloseReason reason);

enum class SendState {
  kReady,   // more may be sent
  kFull,    // taken, but the connection's buffer is over its limit: wait for on_writable
  kClosed,  // nobody listens any more
};

// One request and its answer: either respond(), or start_stream(), send()..., finish(). Every
// method may be called from any thread and never blocks. Dropping the last reference to an exchange
// without an answer answers 500.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  virtual const HttpRequest& request() const = 0;
  // The handler may take the body out of the request instead of copying it.
  virtual std::string take_body() = 0;
  virtual void respond(HttpResponse response) = 0;
  // Sends the head of `response` (its body is ignored) and keeps the body open.
  virtual void start_stream(const HttpResponse& response) = 0;
  virtual SendState send(std::string_view bytes) = 0;
  virtual void finish() = 0;
  // Called once, on an I/O thread, if the exchange ends before its answer is complete; at once when
  // that has already happened.
  virtual void on_close(std::function<void(CloseReason)> callback) = 0;
  // Called on an I/O thread each time a full buffer has drained to half.
  virtual void on_writable(std::function<void()> callback) = 0;
};

// Runs on an I/O thread: hands long work to somebody else.
using HttpHandler = std::function<void(std::shared_ptr<HttpExchange>)>;

const char* status_text(int status);
// "%2F" to "/"; '+' stays. Nothing on a malformed escape or an escaped NUL.
std::optional<std::string> percent_decode(std::string_view text);
// The value of `key` in "a=1&b=2", decoded; nothing when absent.
std::optional<std::string> query_value(std::string_view query, std::string_view key);
bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace hearth::transport
