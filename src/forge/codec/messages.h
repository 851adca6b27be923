// Commands and agents' events as bytes. A stream of them is frames: four bytes of length, little
// end first, then the message.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "forge/core/job.h"

namespace hearth::forge::codec {

// What an agent may say; everything else in Event is for users and clocks.
using AgentEvent = std::variant<Joined, Heartbeat, Started, Ended, Checked, Imaged>;

std::string encode_job(const Job& job);
Job decode_job(std::string_view bytes);

std::string encode_fleet(const FleetSpec& fleet);  // its lists, without the nodes

std::string encode_events(const std::vector<Event>& events);  // AgentEvents only
std::vector<Event> decode_events(std::string_view bytes);

std::string encode_command(const Command& command);
Command decode_command(std::string_view bytes);

std::string frame(std::string_view message);

// Cuts a byte stream into messages, however it was chunked.
class FrameReader {
 public:
  explicit FrameReader(std::function<void(std::string_view)> on_message)
      : on_message_(std::move(on_message)) {}
  // Throws Error(kDataLoss) on a frame longer than anybody writes.
  void feed(std::string_view bytes);

 private:
  std::function<void(std::string_view)> on_message_;
  std::string buffer_;
};

}  // namespace hearth::forge::codec
