// multipart/form-data from bytes as they come, with limits: what forms and uploads are made of
// (RFC 7578). Keeps no part in memory. One thread at a time.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::transport {

struct MultipartLimits {
  size_t parts_max = 64;                    // fields and files together
  size_t head_bytes_max = size_t{8} << 10;  // of the head of one part
};

struct MultipartPart {
  std::string name;
  std::optional<std::string> filename;  // set: it is a file
  std::string content_type;
};

class MultipartSink {
 public:
  virtual ~MultipartSink() = default;
  virtual void on_part(const MultipartPart& part) = 0;
  // Of the part that was begun last.
  virtual void on_bytes(std::string_view bytes) = 0;
  virtual void on_part_end() = 0;
};

// The boundary in the Content-Type of a multipart/form-data; nothing for another type, or a
// boundary that is none.
std::optional<std::string> multipart_boundary(std::string_view content_type);

class MultipartParser {
 public:
  // `sink` outlives it.
  MultipartParser(const std::string& boundary, const MultipartLimits& limits, MultipartSink& sink);

  // Throws Error{kInvalidArgument} saying what was expected.
  void feed(std::string_view bytes);
  // After the last bytes. Throws when the form is cut.
  void finish() const;

 private:
  enum class Place { kPreamble, kAfterBoundary, kHead, kContent, kEpilogue };

  // Each takes what it can from the front of pending_; false: more bytes are needed.
  bool skip_preamble();
  bool read_after_boundary();
  bool read_head();
  bool read_content();

  const std::string delimiter_;  // CRLF, "--", the boundary
  const MultipartLimits limits_;
  MultipartSink& sink_;
  Place place_ = Place::kPreamble;
  std::string pending_;
  size_t parts_ = 0;
};

}  // namespace hearth::transport
