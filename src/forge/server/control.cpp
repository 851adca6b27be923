#include "forge/server/control.h"

#include <algorithm>
#include <unordered_map>

#include "forge/codec/messages.h"

namespace hearth::forge {
namespace {

constexpr Millis kTickMs = 250;

void expect_small(const JobSpec& spec, size_t bytes_max) {
  Job job;
  job.spec = spec;
  const size_t bytes = bytes_max == SIZE_MAX ? 0 : codec::encode_job(job).size();
  if (bytes <= bytes_max) return;
  throw_error(ErrorCode::kTooLarge, "job",
              "it takes {} bytes, and the most that this store keeps of one is {}: put what is "
              "large into a file",
              bytes, bytes_max);
}

std::optional<Refusal> refusal_of(const Scheduler& scheduler, const Event& event,
                                  size_t job_bytes_max) {
  try {
    scheduler.check(event);
    if (const auto* submit = std::get_if<Submit>(&event)) expect_small(submit->spec, job_bytes_max);
    return std::nullopt;
  } catch (const Error& error) {
    return Refusal{error.code, error.where + ": " + error.text};
  }
}

// The number that a submission gets, or got when its key was sent before.
JobId number_of(const Scheduler& scheduler, const std::string& key,
                std::unordered_map<std::string, JobId>& fresh, JobId& next) {
  if (key.empty()) return next++;
  if (const JobId known = scheduler.job_keyed(key); known >= 0) return known;
  const auto [entry, added] = fresh.emplace(key, next);
  next += added;
  return entry->second;
}

}  // namespace

Control::Control(Store& store, const FleetSpec& fleet, const Policy& policy, LeaseTerms terms,
                 Millis now)
    : store_(store), terms_(terms) {
  scheduler_ = std::make_unique<Scheduler>(store.load(), now, policy, terms);
  if (codec::encode_fleet(fleet) == codec::encode_fleet(scheduler_->spec())) return;
  const Configure configure{fleet};
  scheduler_->check(configure);
  // What is to be said now is said again by the first turns.
  std::vector<Command> out;
  scheduler_->apply(scheduler_->now(), configure, out);
  store_.commit(*scheduler_, scheduler_->changes());
}

void Control::turn(Millis now, std::vector<Request> requests, std::vector<Command>& out) {
  now = std::max(now, scheduler_->now());
  std::vector<Event> events;
  std::vector<std::optional<Refusal>> refusals;
  std::unordered_map<std::string, JobId> fresh;
  std::vector<JobId> submitted;
  auto next_job = static_cast<JobId>(scheduler_->jobs().size());
  for (Request& request : requests) {
    refusals.push_back(refusal_of(*scheduler_, request.event, store_.job_bytes_max()));
    submitted.push_back(-1);
    if (refusals.back()) continue;
    if (const auto* submit = std::get_if<Submit>(&request.event))
      submitted.back() = number_of(*scheduler_, submit->spec.key, fresh, next_job);
    events.push_back(std::move(request.event));
  }
  if (now >= next_tick_) {
    next_tick_ = now + kTickMs;
    scheduler_->expired(now, events);
    events.emplace_back(Tick{});
  }
  scheduler_->apply(now, events, out);
  if (!scheduler_->changes().empty()) {
    store_.commit(*scheduler_, scheduler_->changes());
  } else if (!out.empty() || !requests.empty()) {
    store_.confirm();
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].done) requests[i].done(submitted[i], refusals[i]);
  }
}

Sample sample_of(const Scheduler& scheduler) {
  const FleetSpec& spec = scheduler.spec();
  Sample sample{.at = scheduler.now()};
  sample.vc_milli.assign(spec.virtual_clusters.size(), 0);
  sample.devices = static_cast<int32_t>(scheduler.actual().present_milli() / kWholeDevice);
  sample.busy_milli =
      static_cast<int32_t>(scheduler.actual().present_milli() - scheduler.actual().free_milli());
  for (JobId id : scheduler.active()) {
    const Job& job = scheduler.job(id);
    sample.running += !job.placed.empty();
    sample.waiting += job.placed.empty();
    int32_t milli = 0;
    for (const Slot& slot : job.placed) milli += slot.milli;
    for (VcId v = job.spec.vc; v >= 0; v = spec.virtual_clusters[static_cast<size_t>(v)].parent)
      sample.vc_milli[static_cast<size_t>(v)] += milli;
  }
  return sample;
}

}  // namespace hearth::forge
