// What agents send, as arbitrary bytes cut at arbitrary places, into a scheduler with work: what
// cannot be is refused, nothing crashes, and no more devices are given out than there are.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/error.h"
#include "forge/codec/messages.h"
#include "forge/core/scheduler.h"

namespace {

using namespace hearth::forge;
using hearth::Error;

constexpr Millis kStepMs = 1'000;

FleetSpec two_nodes() {
  FleetSpec fleet;
  fleet.kinds = {{"gpu", 80, 400}};
  fleet.regions = {{"north", 40}};
  fleet.clusters = {{"main", 0}};
  fleet.nodes = {{"n0", 0, 0, 4}, {"n1", 0, 0, 4}};
  fleet.virtual_clusters = {{"a", -1, 8}};
  return fleet;
}

class House {
 public:
  House() : scheduler_(two_nodes(), policy_named("hearth")) {
    std::vector<Event> begin;
    for (NodeId node : {0, 1}) begin.emplace_back(Joined{node, 1});
    for (int32_t workers : {1, 2, 6}) {
      JobSpec spec;
      spec.min_workers = 1;
      spec.max_workers = workers;
      begin.emplace_back(Submit{spec});
    }
    apply(begin);
  }
  void hear(std::string_view message) {
    std::vector<Event> taken;
    for (const Event& event : codec::decode_events(message)) {
      try {
        scheduler_.check(event);
        taken.push_back(event);
      } catch (const Error&) {
      }
    }
    scheduler_.expired(now_, taken);
    taken.emplace_back(Tick{});
    apply(taken);
  }

 private:
  void apply(const std::vector<Event>& events) {
    std::vector<Command> out;
    scheduler_.apply(now_, events, out);
    now_ += kStepMs;
    for (const Command& command : out)
      CHECK(codec::encode_command(codec::decode_command(codec::encode_command(command))) ==
                codec::encode_command(command),
            "a command is not what was sent");
    const Fleet& fleet = scheduler_.actual();
    CHECK(fleet.free_milli() >= 0 && fleet.free_milli() <= fleet.present_milli(),
          "{} free of {} there", fleet.free_milli(), fleet.present_milli());
  }

  Scheduler scheduler_;
  Millis now_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  House house;
  try {
    codec::FrameReader frames([&](std::string_view message) { house.hear(message); });
    const size_t piece = 1 + data[0] % 64;
    for (size_t i = 0; i < bytes.size(); i += piece) frames.feed(bytes.substr(i, piece));
    codec::decode_command(bytes);
  } catch (const Error&) {
  }
  return 0;
}
