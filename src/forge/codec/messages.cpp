#include "forge/codec/messages.h"

#include "base/check.h"
#include "forge/codec/binary.h"
#include "forge/codec/fields.h"

namespace hearth::forge::codec {
namespace {

constexpr size_t kFrameBytesMax = size_t{4} << 20;
constexpr size_t kHeadBytes = 4;

AgentEvent narrow(const Event& event) {
  return std::visit(
      [](const auto& e) -> AgentEvent {
        if constexpr (std::is_constructible_v<AgentEvent, decltype(e)>) return e;
        CHECK(false, "not an agent's event");
      },
      event);
}

}  // namespace

std::string encode_job(const Job& job) {
  Writer out;
  out.put(job);
  return out.bytes();
}

Job decode_job(std::string_view bytes) {
  Job job;
  Reader(bytes).get(job);
  return job;
}

std::string encode_fleet(const FleetSpec& fleet) {
  Writer out;
  out.put(fleet);
  return out.bytes();
}

std::string encode_events(const std::vector<Event>& events) {
  Writer out;
  for (const Event& event : events) out.put(narrow(event));
  return out.bytes();
}

std::vector<Event> decode_events(std::string_view bytes) {
  std::vector<Event> events;
  for (Reader in(bytes); !in.done();) {
    AgentEvent event;
    in.get(event);
    const auto* ended = std::get_if<Ended>(&event);
    if (ended && (ended->outcome < Outcome::kSaved || ended->outcome > Outcome::kFailed))
      throw_error(ErrorCode::kInvalidArgument, "outcome", "no outcome {}",
                  static_cast<int>(ended->outcome));
    std::visit([&](const auto& e) { events.emplace_back(e); }, event);
  }
  return events;
}

std::string encode_command(const Command& command) {
  Writer out;
  out.put(command);
  return out.bytes();
}

Command decode_command(std::string_view bytes) {
  Command command;
  Reader(bytes).get(command);
  return command;
}

std::string frame(std::string_view message) {
  std::string out;
  for (size_t i = 0; i < kHeadBytes; ++i)
    out += static_cast<char>((message.size() >> (8 * i)) & 0xff);
  return out.append(message);
}

void FrameReader::feed(std::string_view bytes) {
  buffer_ += bytes;
  size_t at = 0;
  while (buffer_.size() - at >= kHeadBytes) {
    size_t size = 0;
    for (size_t i = 0; i < kHeadBytes; ++i)
      size |= size_t{static_cast<uint8_t>(buffer_[at + i])} << (8 * i);
    if (size > kFrameBytesMax) {
      throw_error(ErrorCode::kDataLoss, "forge stream", "a frame of {} bytes; the most is {}", size,
                  kFrameBytesMax);
    }
    if (buffer_.size() - at - kHeadBytes < size) break;
    on_message_(std::string_view(buffer_).substr(at + kHeadBytes, size));
    at += kHeadBytes + size;
  }
  buffer_.erase(0, at);
}

}  // namespace hearth::forge::codec
