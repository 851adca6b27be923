// The HTTP request parser on arbitrary bytes, cut at arbitrary places: no crash, no endless loop,
// and the same requests however the bytes were cut. Only a refusal may come sooner or later: in
// pieces the parser waits for the end of a head, and counts a head of just header_bytes_max
// otherwise.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "transport/request_parser.h"

namespace {

using hearth::transport::RequestLimits;
using hearth::transport::RequestParser;

struct Outcome {
  std::vector<std::string> bodies;
  int refused = 0;
};

Outcome parse(std::string_view bytes, size_t piece) {
  const RequestLimits limits{
      .target_bytes_max = 64, .header_bytes_max = 512, .body_bytes_max = 256};
  Outcome outcome;
  RequestParser parser(limits);
  std::string pending;
  while (!bytes.empty() && outcome.refused == 0) {
    pending += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      const size_t consumed = parser.feed(pending);
      CHECK(consumed <= pending.size(), "consumed {} of {}", consumed, pending.size());
      pending.erase(0, consumed);
      if (parser.state() == RequestParser::State::kRefused) outcome.refused = parser.status();
      if (parser.state() != RequestParser::State::kDone) break;
      const auto request = parser.take();
      CHECK(request.body.size() <= limits.body_bytes_max, "a body over the limit");
      outcome.bodies.push_back(request.method + " " + request.path + " " + request.body);
      parser = RequestParser(limits);
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Outcome whole = parse(bytes, bytes.size() + 1);
  const Outcome cut = parse(bytes, 1 + data[0] % 16);
  const size_t common = std::min(whole.bodies.size(), cut.bodies.size());
  for (size_t i = 0; i < common; ++i) CHECK(whole.bodies[i] == cut.bodies[i], "request {}", i);
  const bool refused = whole.refused != 0 || cut.refused != 0;
  CHECK(refused || whole.bodies.size() == cut.bodies.size(), "{} requests whole, {} cut",
        whole.bodies.size(), cut.bodies.size());
  return 0;
}
