#include "forge/agent/server_streams.h"

#include <chrono>
#include <cstdlib>
#include <fmt/ranges.h>
#include <thread>

#include "base/log.h"
#include "forge/client/leader_client.h"

namespace hearth::forge {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstStream = 2s;      // for the commands' connection to stand
constexpr auto kLongestSilence = 10s;  // between two looks at what there is to send

}  // namespace

void ServerStreams::open(std::vector<std::string> nodes, int64_t lease_ms) {
  nodes_ = std::move(nodes);
  // A server that grants leases is never silent for one.
  silence_ms_ = patience_with(place_.url, lease_ms);
  place_.answer_ms = silence_of(place_.url, place_.answer_ms, silence_ms_);
  std::thread([this] { read_commands(); }).detach();
  std::thread([this] { send_events(); }).detach();
  std::unique_lock lock(mutex_);
  opened_.wait_for(lock, kFirstStream, [this] { return open_; });
}

void ServerStreams::read_commands() {
  ServerLink link(place_);
  keep_trying("the commands' connection", [&] {
    const auto opened = [this] {
      {
        const std::lock_guard lock(mutex_);
        open_ = true;
      }
      opened_.notify_one();
    };
    const bool known = link.read_commands(nodes_, silence_ms_, opened, [this](Command command) {
      commands.put({std::move(command)});
    });
    if (known) return;
    // The workers have their fence.
    log::error("the server does not know {} any more: start this program again",
               fmt::join(nodes_, ", "));
    std::_Exit(1);
  });
}

// What did not arrive is said again at once: a heartbeat among it may be all that keeps the lease.
void ServerStreams::send_events() {
  ServerLink link(place_);
  std::vector<Event> said;
  keep_trying("sending events", [&] {
    for (;; said.clear()) {
      if (said.empty()) said = events.take(kLongestSilence);
      if (!said.empty()) link.send_events(nodes_.front(), said);
    }
  });
}

}  // namespace hearth::forge
