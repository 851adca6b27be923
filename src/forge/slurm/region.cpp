#include "forge/slurm/region.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace hearth::forge {

void SlurmRegion::submit(SlurmOrder order) {
  const std::lock_guard lock(mutex_);
  const std::string name = order.name;
  entries_.try_emplace(name, Entry{.order = std::move(order)});
}

void SlurmRegion::submit_unless_known(SlurmOrder order, Millis now) {
  const std::lock_guard lock(mutex_);
  const std::string name = order.name;
  entries_.try_emplace(name, Entry{.order = std::move(order), .doubt_at = now});
}

void SlurmRegion::watch(const std::string& name, Millis now) {
  const std::lock_guard lock(mutex_);
  Entry entry{.news = {SlurmFate::kAlive, {}, now}, .unsaid = false, .taken_at = now};
  entry.order.name = name;
  entries_.try_emplace(name, std::move(entry));
}

void SlurmRegion::cancel(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found != entries_.end()) found->second.cancelled = true;
}

void SlurmRegion::forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  if (!found->second.cancelled) {
    entries_.erase(found);
  } else {
    found->second.forgotten = true;
  }
}

SlurmNews SlurmRegion::news(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(name);
  return found == entries_.end() ? SlurmNews{SlurmFate::kGone, "nobody ordered it", 0}
                                 : found->second.news;
}

std::vector<SlurmNode> SlurmRegion::nodes(Millis& seen_at) const {
  const std::lock_guard lock(mutex_);
  seen_at = nodes_at_;
  return nodes_;
}

void SlurmRegion::turn(Millis now) {
  say_orders(now);
  say_cancels(now);
  if (now < next_look_) return;
  next_look_ = now + kLookMs;
  try {
    look(now);
    if (quiet_) log::info("the Slurm controller answers again");
    quiet_ = false;
  } catch (const Error& error) {
    if (!quiet_) log::warn("the Slurm controller does not answer: {}", error.what());
    quiet_ = true;
  }
}

void SlurmRegion::say_orders(Millis now) {
  std::vector<SlurmOrder> orders;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, entry] : entries_) {
      const bool ready = entry.unsaid && entry.doubt_at < 0 && !entry.cancelled &&
                         entry.news.fate == SlurmFate::kUnsaid;
      if (ready && orders.size() < kSubmitsATurn) orders.push_back(entry.order);
    }
    // Before it is said: whoever looks at it from now on must not take it for unsaid.
    for (const SlurmOrder& order : orders) entries_.at(order.name).doubt_at = now;
  }
  for (const SlurmOrder& order : orders) {
    const Submitted said = slurm_.submit(order);
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(order.name);
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    if (said.answer == SlurmAnswer::kTaken) {
      entry.unsaid = false;
      entry.taken_at = now;
      entry.news = {SlurmFate::kWaiting, {}, now};
    } else if (said.answer == SlurmAnswer::kRefused) {
      entry.news = {SlurmFate::kRefused, said.text, now};
    } else {
      log::warn("no answer from Slurm order={} reason=\"{}\"", order.name, said.text);
      entry.news.text = said.text;
    }
  }
}

void SlurmRegion::look(Millis now) {
  // In this order: a job that ends between the two looks is seen to have ended later, not sooner.
  const std::vector<SlurmJob> jobs = slurm_.jobs();
  std::map<std::string, std::vector<SlurmJob>> named;
  for (const SlurmJob& job : jobs) {
    if (job.name.starts_with(prefix_)) named[job.name].push_back(job);
  }
  {
    const std::lock_guard lock(mutex_);
    for (auto& [name, entry] : entries_) follow(entry, named[name], now);
    std::erase_if(entries_, [&](const auto& item) {
      const Entry& entry = item.second;
      return entry.forgotten && entry.ids.empty() && now > std::max(entry.taken_at, entry.doubt_at);
    });
  }
  std::vector<SlurmNode> nodes = slurm_.nodes();
  const std::lock_guard lock(mutex_);
  nodes_ = std::move(nodes);
  nodes_at_ = now;
}

// What a picture that was asked for at `looked_at` says of an order.
void SlurmRegion::follow(Entry& entry, const std::vector<SlurmJob>& jobs, Millis looked_at) {
  if (entry.news.fate == SlurmFate::kRefused) return;
  entry.ids.clear();
  if (jobs.empty()) {
    if (!entry.unsaid) {
      if (looked_at > entry.taken_at && entry.news.fate != SlurmFate::kGone)
        entry.news = {SlurmFate::kGone, "the controller does not know it", looked_at};
    } else if (entry.doubt_at >= 0 && looked_at > entry.doubt_at) {
      entry.doubt_at = -1;  // it never arrived: it may be said again
    }
    return;
  }
  entry.unsaid = false;
  // The liveliest of the copies counts.
  constexpr auto kRank = [](SlurmState state) {
    switch (state) {
      case SlurmState::kEnded:
        return 0;
      case SlurmState::kWaiting:
        return 1;
      case SlurmState::kNodeFailed:
        return 2;
      default:
        return 3;
    }
  };
  constexpr auto kFate = [](SlurmState state) {
    switch (state) {
      case SlurmState::kEnded:
        return SlurmFate::kEnded;
      case SlurmState::kWaiting:
        return SlurmFate::kWaiting;
      case SlurmState::kNodeFailed:
        return SlurmFate::kNodeFailed;
      default:
        return SlurmFate::kAlive;
    }
  };
  const SlurmJob* best = &jobs.front();
  for (const SlurmJob& job : jobs) {
    if (kRank(job.state) > kRank(best->state)) best = &job;
    if (job.state != SlurmState::kEnded) entry.ids.push_back(job.id);
  }
  const SlurmFate fate = kFate(best->state);
  const Millis since = fate == entry.news.fate ? entry.news.since : looked_at;
  entry.news = {fate, best->text, since};
}

void SlurmRegion::say_cancels(Millis now) {
  std::vector<int64_t> ids;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [name, entry] : entries_) {
      if (!entry.cancelled || entry.ids.empty()) continue;
      if (entry.cancelled_at >= 0 && now < entry.cancelled_at + kCancelAgainMs) continue;
      entry.cancelled_at = now;
      ids.insert(ids.end(), entry.ids.begin(), entry.ids.end());
    }
  }
  if (!ids.empty()) slurm_.cancel(ids);
}

}  // namespace hearth::forge
