// The body of a large request in a file, so that it never lies in memory. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::transport {

struct HttpRequest;

class SpooledBody {
 public:
  // A fresh file in that folder. Throws Error{kIo} naming it.
  explicit SpooledBody(const std::string& folder);
  ~SpooledBody();  // the file has no name, and is gone
  SpooledBody(const SpooledBody&) = delete;
  SpooledBody& operator=(const SpooledBody&) = delete;

  // Throws Error{kIo}; a full disk is named.
  void append(std::string_view bytes);
  uint64_t size() const { return size_; }
  // The next bytes from the beginning on; fewer than `most` only at the end.
  std::string read(size_t most);

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
  uint64_t read_ = 0;
};

// Where the body of a request goes and how large it may be.
struct BodyPlan {
  uint64_t bytes_max = 0;
  std::string folder;
};

// Asked when the head of a request is there. Nothing: its body stays in memory, within
// RequestLimits::body_bytes_max. On an I/O thread: quick.
using PlanBody = std::function<std::optional<BodyPlan>(const HttpRequest& head)>;

}  // namespace hearth::transport
