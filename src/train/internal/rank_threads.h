// Ranks as threads of one process, for tests.
#pragma once

#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "train/local_wire.h"
#include "train/socket_wire.h"

namespace hearth::train::internal {

enum class Carrier { kThreads, kSockets };

// Calls body(wire) on a thread for each rank; throws what the first of them threw.
template <typename Body>
void on_ranks(int ranks, Carrier carrier, const Body& body) {
  LocalHub hub(ranks);
  const auto mesh = make_socket_mesh(carrier == Carrier::kSockets ? ranks : 0);
  const FakeClock clock;
  std::vector<std::exception_ptr> failures(static_cast<size_t>(ranks));
  const auto run = [&](int rank) {
    const auto at = static_cast<size_t>(rank);
    try {
      std::unique_ptr<Wire> wire;
      if (carrier == Carrier::kSockets) {
        wire = std::make_unique<SocketWire>(rank, mesh[at], kSecond, clock);
      } else {
        wire = std::make_unique<LocalWire>(hub, rank);
      }
      body(*wire);
    } catch (...) {
      failures[at] = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
  for (auto& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace hearth::train::internal
