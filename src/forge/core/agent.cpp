#include "forge/core/agent.h"

#include <algorithm>

namespace hearth::forge {

void Agent::receive(Millis now, const Command& command, std::vector<Event>& out) {
  const Incarnation meant = std::visit([](const auto& c) { return c.incarnation; }, command);
  if (meant != incarnation_) return;
  if (const auto* start_command = std::get_if<Start>(&command)) {
    start(*start_command, out);
  } else if (const auto* stop_command = std::get_if<Stop>(&command)) {
    stop(*stop_command, out);
  } else if (const auto* ack = std::get_if<Acknowledge>(&command)) {
    const auto found = ends_.find(ack->job);
    if (found != ends_.end() && found->second.epoch == ack->epoch)
      found->second.acknowledged = true;
  } else if (const auto* lease = std::get_if<Lease>(&command)) {
    joined_ = true;
    lease_until_ = std::max(lease_until_, lease->sent_at + terms_.lease_ms);
  } else {
    rejoin(now);
  }
}

void Agent::start(const Start& command, std::vector<Event>& out) {
  // Without a lease nobody would notice that this node went silent.
  if (!joined_) return;
  const auto past = ends_.find(command.job);
  if (past != ends_.end() && past->second.epoch >= command.epoch) {
    out.push_back(ended(command.job, past->second));
    return;
  }
  const auto [work, fresh] = running_.try_emplace(command.job, Work{command.epoch, command.slots});
  // An older epoch still here: the scheduler starts a new one only after it knows the old one's
  // end, so this is a late command.
  if (!fresh && work->second.epoch != command.epoch) return;
  out.push_back(Started{node_, incarnation_, command.job, command.epoch});
}

void Agent::stop(const Stop& command, std::vector<Event>& out) {
  const auto past = ends_.find(command.job);
  if (past != ends_.end() && past->second.epoch >= command.epoch) {
    if (past->second.epoch == command.epoch) out.push_back(ended(command.job, past->second));
    return;
  }
  const auto work = running_.find(command.job);
  if (work != running_.end() && work->second.epoch > command.epoch) return;
  const bool ran = work != running_.end() && work->second.epoch == command.epoch;
  // Remembered even when its Start never came: that Start may still be under way.
  const bool saved = ran && command.mode == StopMode::kCheckpoint;
  end(command.job, command.epoch, saved ? Outcome::kSaved : Outcome::kKilled, out);
}

void Agent::exited(JobId job, Outcome outcome, std::vector<Event>& out) {
  const auto work = running_.find(job);
  if (work != running_.end()) end(job, work->second.epoch, outcome, out);
}

void Agent::end(JobId job, Epoch epoch, Outcome outcome, std::vector<Event>& out) {
  running_.erase(job);
  ends_[job] = {epoch, outcome, false};
  out.push_back(ended(job, ends_[job]));
}

Event Agent::ended(JobId job, const End& end) const {
  return Ended{node_, incarnation_, job, end.epoch, end.outcome};
}

void Agent::advance(Millis now, std::vector<Event>& out) {
  if (joined_ && now >= lease_until_) rejoin(now);
  if (now < next_beat_) return;
  next_beat_ = now + terms_.heartbeat_ms;
  if (!joined_) out.push_back(Joined{node_, incarnation_});
  out.push_back(Heartbeat{node_, incarnation_, now});
  for (const auto& [job, end] : ends_) {
    if (!end.acknowledged) out.push_back(ended(job, end));
  }
}

void Agent::rejoin(Millis now) {
  running_.clear();
  ends_.clear();
  ++incarnation_;
  joined_ = false;
  next_beat_ = now;
}

}  // namespace hearth::forge
