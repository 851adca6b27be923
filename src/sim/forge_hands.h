// Hands without processes: workers that are records, which outlive the agent's program and die with
// the machine, of the fence, or when they are told to, after a while.
#pragma once

#include <map>
#include <vector>

#include "base/random.h"
#include "forge/agent/executor.h"

namespace hearth::sim {

struct Worker {
  forge::JobId job = 0;
  forge::Epoch epoch = 0;
  auto operator<=>(const Worker&) const = default;
};

class SimulatedHands final : public forge::Executor {
 public:
  struct Options {
    // Decides how long a worker takes to stop.
    uint64_t seed = 1;
    // Planted bugs: see ForgeFault.
    bool ignore_fence = false;
    bool stops_at_once = false;
  };
  explicit SimulatedHands(const Options& options) : options_(options), random_(options.seed) {}

  forge::Recovered recover() override;
  void begin(forge::Incarnation incarnation) override;
  void start(const forge::Start& order) override;
  void halt(forge::JobId job, forge::Epoch epoch, forge::StopMode mode) override;
  void bury(forge::JobId job, forge::Epoch epoch) override;
  void set_fence(forge::Millis at) override { fence_at_ = at; }
  std::vector<forge::Exit> poll(forge::Millis now) override;

  // --- what the world does ---
  void power_off();
  // Nothing new can be written down until then.
  void fill_disk(forge::Millis until) { full_until_ = until; }
  // Time passes for the workers: stops and the fence take effect.
  void advance(forge::Millis now);
  // More of the work of one is done; returns how much in all.
  forge::Millis ran(const Worker& worker, forge::Millis more);
  void exit(const Worker& worker, forge::Outcome outcome);
  std::vector<Worker> workers() const;  // alive
  const forge::Placement& slots(const Worker& worker) const { return runs_.at(worker).slots; }

 private:
  struct Run {
    forge::Placement slots;
    bool alive = true;
    bool told = false;  // poll() has returned it
    forge::Millis ran = 0;
    forge::Millis stop_at = -1;  // -1: nobody has asked
    forge::Outcome stop_as = forge::Outcome::kSaved;
    forge::Outcome outcome = forge::Outcome::kKilled;
  };

  void write_down() const;

  Options options_;
  Random random_;
  forge::Incarnation incarnation_ = 0;
  forge::Millis fence_at_ = 0;
  forge::Millis now_ = 0;
  forge::Millis full_until_ = 0;
  std::map<Worker, Run> runs_;
};

}  // namespace hearth::sim
