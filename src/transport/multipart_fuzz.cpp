// The multipart parser on arbitrary bytes, cut at arbitrary places: no crash, the same parts
// however the bytes were cut, and never more than a head and a boundary held back.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/error.h"
#include "transport/multipart.h"

namespace {

using namespace hearth::transport;

class Transcript final : public MultipartSink {
 public:
  void on_part(const MultipartPart& part) override {
    text += "[" + part.name + "|" + part.filename.value_or("-") + "|" + part.content_type + "]";
  }
  void on_bytes(std::string_view bytes) override { text += bytes; }
  void on_part_end() override { text += "<end>"; }
  std::string text;
};

// Nothing: it was refused.
std::optional<std::string> parse(std::string_view bytes, size_t piece) {
  Transcript sink;
  MultipartParser parser("b", {.parts_max = 8, .head_bytes_max = 256}, sink);
  try {
    for (size_t i = 0; i < bytes.size(); i += piece) parser.feed(bytes.substr(i, piece));
    parser.finish();
  } catch (const hearth::Error&) {
    return std::nullopt;
  }
  return sink.text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  multipart_boundary(bytes);
  const auto whole = parse(bytes, bytes.size() + 1);
  const auto cut = parse(bytes, 1 + data[0] % 16);
  // A head that is too long is noticed sooner in pieces.
  if (whole && cut) CHECK(*whole == *cut, "'{}' whole, '{}' cut", *whole, *cut);
  return 0;
}
