// One HTTP/1.x request from bytes, with limits. Knows no socket, so that it can be fuzzed and
// tested on its own. One thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "transport/http.h"
#include "transport/spooled_body.h"

namespace hearth::transport {

struct RequestLimits {
  size_t target_bytes_max = size_t{8} << 10;   // path and query; more is 414
  size_t header_bytes_max = size_t{32} << 10;  // request line and header fields; more is 431
  size_t body_bytes_max = size_t{32} << 20;    // in memory, after de-chunking; more is 413
  size_t upload_bytes_max = size_t{1} << 30;   // no BodyPlan allows more
};

class RequestParser {
 public:
  enum class State {
    kHead,     // the head is not complete
    kBody,     // the head is complete, the body is not
    kDone,     // take() the request; bytes that were not consumed belong to the next one
    kRefused,  // answer status() with refusal() and close
  };

  // `plan` outlives it; null or empty: all bodies stay in memory.
  explicit RequestParser(const RequestLimits& limits, const PlanBody* plan = nullptr);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  // Returns how many bytes were consumed. The caller offers the rest again, with more behind it.
  size_t feed(std::string_view bytes);
  State state() const;
  // The body goes to a file.
  bool spooling() const;
  // True once, when the head is complete and the client waits for "100 Continue".
  bool take_expects_continue();
  int status() const;
  const std::string& refusal() const;
  HttpRequest take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::transport
