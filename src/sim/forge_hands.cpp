#include "sim/forge_hands.h"

#include "base/check.h"
#include "base/error.h"

namespace hearth::sim {

using namespace forge;

namespace {

constexpr Millis kSlowestStop = 4'000;
constexpr Millis kSlowestKill = 400;

}  // namespace

void SimulatedHands::write_down() const {
  if (now_ < full_until_) throw_error(ErrorCode::kIo, "runs", "no space left");
}

Recovered SimulatedHands::recover() {
  Recovered out{incarnation_, {}};
  for (auto& [worker, run] : runs_) {
    if (run.alive) {
      out.memory.running[worker.job] = {worker.epoch, run.slots};
    } else {
      run.told = true;
      out.memory.ends[worker.job] = {worker.epoch, run.outcome, false};
    }
  }
  out.memory.fence_at = fence_at_;
  return out;
}

void SimulatedHands::begin(Incarnation incarnation) {
  // A machine that comes up finds room for this much, or stays away.
  if (incarnation_ > 0) write_down();
  for (const auto& [worker, run] : runs_)
    CHECK(!run.alive || options_.stops_at_once, "a new incarnation over live workers");
  incarnation_ = incarnation;
  runs_.clear();
}

void SimulatedHands::start(const Start& order) {
  if (!runs_.contains({order.job, order.epoch})) write_down();
  runs_.try_emplace({order.job, order.epoch}, Run{.slots = order.slots});
}

void SimulatedHands::halt(JobId job, Epoch epoch, StopMode mode) {
  Run& run = runs_.at({job, epoch});
  const bool saves = mode == StopMode::kCheckpoint;
  const Millis at = now_ + random_.between(0, saves ? kSlowestStop : kSlowestKill);
  if (run.stop_at >= 0 && run.stop_at <= at) return;
  run.stop_at = at;
  run.stop_as = saves ? Outcome::kSaved : Outcome::kKilled;
}

void SimulatedHands::bury(JobId job, Epoch epoch) {
  runs_.try_emplace({job, epoch}, Run{.alive = false, .told = true});
}

std::vector<Exit> SimulatedHands::poll(Millis) {
  std::vector<Exit> out;
  for (auto& [worker, run] : runs_) {
    const bool over = !run.alive || (options_.stops_at_once && run.stop_at >= 0);
    if (!over || run.told) continue;
    run.told = true;
    out.push_back({worker.job, worker.epoch, run.alive ? run.stop_as : run.outcome});
  }
  return out;
}

// Disks survive, but what an incarnation was is over.
void SimulatedHands::power_off() {
  runs_.clear();
  incarnation_ = 0;
  fence_at_ = 0;
}

void SimulatedHands::advance(Millis now) {
  now_ = now;
  for (auto& [worker, run] : runs_) {
    if (!run.alive) continue;
    const bool stopped = run.stop_at >= 0 && now >= run.stop_at;
    const bool fenced = now >= fence_at_ && !options_.ignore_fence;
    if (stopped || fenced) exit(worker, stopped ? run.stop_as : Outcome::kKilled);
  }
}

Millis SimulatedHands::ran(const Worker& worker, Millis more) {
  return runs_.at(worker).ran += more;
}

void SimulatedHands::exit(const Worker& worker, Outcome outcome) {
  Run& run = runs_.at(worker);
  if (!run.alive) return;
  run.alive = false;
  run.outcome = outcome;
}

std::vector<Worker> SimulatedHands::workers() const {
  std::vector<Worker> out;
  for (const auto& [worker, run] : runs_) {
    if (run.alive) out.push_back(worker);
  }
  return out;
}

}  // namespace hearth::sim
