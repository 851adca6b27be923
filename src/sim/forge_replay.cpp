#include "sim/forge_replay.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <queue>
#include <span>

#include "forge/core/scheduler.h"

namespace hearth::sim {

using namespace forge;

namespace {

constexpr double kHour = 3'600'000;
constexpr Millis kNever = INT64_MAX / 4;

// What running jobs take of the fleet.
struct Draw {
  double devices = 0;
  double watts = 0;
  double grams_an_hour = 0;

  void add(const Draw& other, double sign) {
    devices += sign * other.devices;
    watts += sign * other.watts;
    grams_an_hour += sign * other.grams_an_hour;
  }
};

Draw draw_of(const FleetSpec& fleet, const Placement& slots) {
  Draw draw;
  for (const Slot& slot : slots) {
    const Node& node = fleet.nodes[static_cast<size_t>(slot.node)];
    const Cluster& cluster = fleet.clusters[static_cast<size_t>(node.cluster)];
    const double part = static_cast<double>(slot.milli) / kWholeDevice;
    const double watts = part * fleet.kinds[static_cast<size_t>(node.kind)].power_w;
    const int32_t carbon = fleet.regions[static_cast<size_t>(cluster.region)].carbon_g_per_kwh;
    draw.add({part, watts, watts / 1000 * carbon}, 1);
  }
  return draw;
}

class Replay {
 public:
  Replay(const FleetSpec& fleet, const std::vector<ReplayJob>& jobs, const Policy& policy)
      : jobs_(jobs),
        round_(std::max<Millis>(policy.round_ms, 1'000)),
        scheduler_(fleet, policy, {.lease_ms = kNever, .resend_ms = kNever}),
        runs_(jobs.size()) {
    for (const Node& node : fleet.nodes) devices_ += node.devices;
    for (size_t n = 0; n < fleet.nodes.size(); ++n) feed(Joined{static_cast<NodeId>(n), 1});
    report_.policy = policy.name;
    report_.jobs = static_cast<int32_t>(jobs.size());
  }

  ReplayReport run() {
    size_t arrived = 0;
    while (arrived < jobs_.size() || !due_.empty() || unplanned_) {
      const Millis arrival = arrived < jobs_.size() ? jobs_[arrived].submit_at : kNever;
      const Millis change = due_.empty() ? kNever : due_.top().at;
      // Between rounds nothing is planned, so nothing starts.
      const Millis tick = unplanned_ ? (now_ / round_ + 1) * round_ : kNever;
      advance(std::min({arrival, change, tick}));
      if (now_ == tick) unplanned_ = false, feed(Tick{});
      while (arrived < jobs_.size() && jobs_[arrived].submit_at == now_) submit(jobs_[arrived++]);
      while (!due_.empty() && due_.top().at == now_) change_due();
    }
    summarise();
    return report_;
  }

 private:
  struct Run {
    Epoch epoch = 0;
    double done = 0;
    double rate = 0;   // work a second
    Millis since = 0;  // progress counts from here: after the restart
    size_t phase = 0;
    Millis ended_at = -1;
  };
  struct Due {
    Millis at;
    JobId job;
    Epoch epoch;
    bool operator<(const Due& other) const {
      return std::tie(other.at, other.job) < std::tie(at, job);
    }
  };

  void advance(Millis to) {
    const auto span = static_cast<double>(to - now_);
    const bool inside = now_ < jobs_.back().submit_at;
    if (inside) {
      used_ += span * busy_.devices;
      total_ += span * devices_;
    }
    if (waiting() > 0) {
      backlog_ += span;
      backlog_used_ += span * busy_.devices;
    }
    report_.energy_kwh += span / kHour * busy_.watts / 1000;
    report_.carbon_kg += span / kHour * busy_.grams_an_hour / 1000;
    now_ = to;
    if (report_.samples.empty() || now_ - report_.samples.back().at >= 10 * 60'000) {
      report_.samples.push_back(
          {now_, static_cast<int32_t>(std::lround(busy_.devices)), waiting()});
    }
  }
  int32_t waiting() const { return alive_ - placed_; }

  void submit(const ReplayJob& job) {
    ++alive_;
    const auto id = static_cast<JobId>(submitted_++);
    feed(Submit{job.spec});
    if (!job.phases.empty()) feed(Measured{id, job.phases[0].rates, job.work});
  }

  void feed(const Event& event) {
    unplanned_ = unplanned_ || !std::holds_alternative<Tick>(event);
    feed(std::span(&event, 1));
  }

  void feed(std::span<const Event> events) {
    std::vector<Command> commands;
    scheduler_.apply(now_, events, commands);
    for (const Command& command : commands) {
      if (const auto* start = std::get_if<Start>(&command)) {
        feed(Started{start->node, 1, start->job, start->epoch});
        begin(start->job, start->epoch);
      } else if (const auto* stop = std::get_if<Stop>(&command)) {
        pause(stop->job, stop->epoch);
        feed(Ended{stop->node, 1, stop->job, stop->epoch, Outcome::kSaved});
      }
    }
  }

  // Several nodes each tell of the same start; the last one counts.
  void begin(JobId id, Epoch epoch) {
    const Job& job = scheduler_.job(id);
    Run& run = runs_[static_cast<size_t>(id)];
    if (run.epoch == epoch || job.state != JobState::kRunning) return;
    run.epoch = epoch;
    const Draw draw = draw_of(scheduler_.spec(), job.placed);
    busy_.add(draw, 1);
    ++placed_;
    const bool resumed = job.starts > 1 || !jobs_[static_cast<size_t>(id)].phases.empty();
    const Millis cost = resumed ? job.spec.stop_cost : 0;
    report_.lost_device_hours += static_cast<double>(cost) * draw.devices / kHour;
    run.since = now_ + cost;
    schedule(id);
  }

  double rate_of(const Job& job, const Run& run) const {
    const ReplayJob& source = jobs_[static_cast<size_t>(job.id)];
    if (source.phases.empty()) return 1;
    const KindId kind = scheduler_.spec().nodes[static_cast<size_t>(job.placed[0].node)].kind;
    return source.phases[run.phase].rates->at(kind, static_cast<int32_t>(job.placed.size()));
  }

  void schedule(JobId id) {
    Run& run = runs_[static_cast<size_t>(id)];
    const ReplayJob& source = jobs_[static_cast<size_t>(id)];
    run.rate = rate_of(scheduler_.job(id), run);
    const bool last = run.phase + 1 >= source.phases.size();
    const double goal = last ? source.work : source.phases[run.phase + 1].work;
    const double seconds = run.rate > 0 ? std::max(0.0, goal - run.done) / run.rate : 1e12;
    due_.push({run.since + static_cast<Millis>(std::ceil(seconds * 1000)), id, run.epoch});
  }

  void credit(Run& run) {
    if (now_ <= run.since) return;
    run.done += run.rate * static_cast<double>(now_ - run.since) / 1000;
    run.since = now_;
  }

  void pause(JobId id, Epoch epoch) {
    Run& run = runs_[static_cast<size_t>(id)];
    if (run.epoch != epoch) return;
    credit(run);
    run.epoch = -epoch;
    busy_.add(draw_of(scheduler_.spec(), scheduler_.job(id).placed), -1);
    --placed_;
  }

  void change_due() {
    const Due due = due_.top();
    due_.pop();
    Run& run = runs_[static_cast<size_t>(due.job)];
    if (run.epoch != due.epoch || run.ended_at >= 0) return;
    credit(run);
    const ReplayJob& source = jobs_[static_cast<size_t>(due.job)];
    if (run.phase + 1 < source.phases.size()) {
      ++run.phase;
      schedule(due.job);
      feed(Measured{due.job, source.phases[run.phase].rates, source.work - run.done});
      return;
    }
    run.ended_at = now_;
    const Job& job = scheduler_.job(due.job);
    busy_.add(draw_of(scheduler_.spec(), job.placed), -1);
    --placed_;
    --alive_;
    // All its nodes in one turn: no plan comes between them.
    std::vector<Event> ends;
    for (const auto& [node, part] : job.parts)
      ends.emplace_back(Ended{node, 1, due.job, due.epoch, Outcome::kSucceeded});
    unplanned_ = true;
    feed(ends);
  }

  void summarise() {
    std::vector<double> hours;
    int32_t promised = 0;
    int32_t met = 0;
    double starts = 0;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (runs_[i].ended_at < 0) continue;
      const Job& job = scheduler_.job(static_cast<JobId>(i));
      const auto spent = static_cast<double>(runs_[i].ended_at - job.submitted_at);
      hours.push_back(spent / kHour);
      report_.mean_wait_hours += static_cast<double>(job.first_run_at - job.submitted_at) / kHour;
      starts += job.starts - 1;
      const int32_t level = service_level_milli(job.spec.tier);
      promised += level > 0;
      met += level > 0 && static_cast<double>(job.ran_ms) * 1000 >= level * spent;
    }
    report_.ended = static_cast<int32_t>(hours.size());
    if (hours.empty()) return;
    std::sort(hours.begin(), hours.end());
    const auto count = static_cast<double>(hours.size());
    for (double h : hours) report_.mean_hours += h / count;
    report_.p99_hours = hours[static_cast<size_t>(0.99 * (count - 1))];
    report_.mean_wait_hours /= count;
    report_.makespan_hours = static_cast<double>(now_ - jobs_.front().submit_at) / kHour;
    report_.busy = total_ > 0 ? used_ / total_ : 0;
    report_.backlog_hours = backlog_ / kHour;
    report_.busy_in_backlog = backlog_ > 0 ? backlog_used_ / (backlog_ * devices_) : 0;
    report_.service_met = promised > 0 ? static_cast<double>(met) / promised : 1;
    report_.restarts = starts / count;
  }

  const std::vector<ReplayJob>& jobs_;
  Millis round_;
  Scheduler scheduler_;
  std::vector<Run> runs_;
  std::priority_queue<Due> due_;
  Millis now_ = 0;
  bool unplanned_ = false;
  size_t submitted_ = 0;
  int32_t devices_ = 0;
  Draw busy_;
  int32_t alive_ = 0;
  int32_t placed_ = 0;
  double used_ = 0;
  double total_ = 0;
  double backlog_ = 0;
  double backlog_used_ = 0;
  ReplayReport report_;
};

}  // namespace

ReplayReport replay_forge(const FleetSpec& fleet, const std::vector<ReplayJob>& jobs,
                          const Policy& policy) {
  return Replay(fleet, jobs, policy).run();
}

std::string to_svg(const ReplayReport& report, int32_t devices) {
  constexpr int kWidth = 960;
  constexpr int kHeight = 240;
  std::string busy;
  std::string waiting;
  int32_t most = 1;
  for (const ReplaySample& s : report.samples) most = std::max(most, s.waiting);
  const Millis end = report.samples.empty() ? 1 : std::max<Millis>(1, report.samples.back().at);
  for (const ReplaySample& s : report.samples) {
    const double x = static_cast<double>(s.at) * kWidth / static_cast<double>(end);
    busy += fmt::format("{:.1f},{:.1f} ", x, kHeight - double(s.busy) * kHeight / devices);
    waiting += fmt::format("{:.1f},{:.1f} ", x, kHeight - double(s.waiting) * kHeight / most);
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 -24 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"13\"><text y=\"-8\">{2}: devices in use of {3} (filled), jobs waiting (line, at "
      "most "
      "{4})</text><polygon fill=\"#7fb2d9\" points=\"0,{5} {6}{0},{5}\"/><polyline fill=\"none\" "
      "stroke=\"#c0392b\" points=\"{7}\"/></svg>\n",
      kWidth, kHeight + 24, report.policy, devices, most, kHeight, busy, waiting);
}

}  // namespace hearth::sim
