// Server-sent events, the framing of every streamed answer (WHATWG HTML, section 9.2).
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace hearth::transport {

struct SseEvent {
  std::string event;  // empty: "message"
  std::string data;   // lines joined by '\n'
};

// "event: NAME\ndata: DATA\n\n"; no event line when `name` is empty. `data` has one line, as JSON
// does.
std::string sse_frame(std::string_view name, std::string_view data);

// Cuts a byte stream into events, however it was chunked.
class SseParser {
 public:
  explicit SseParser(std::function<void(SseEvent)> on_event) : on_event_(std::move(on_event)) {}
  void feed(std::string_view bytes);

 private:
  void take_line(std::string_view line);

  std::function<void(SseEvent)> on_event_;
  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool after_cr_ = false;
};

}  // namespace hearth::transport
