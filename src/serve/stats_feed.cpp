#include "serve/stats_feed.h"

#include <algorithm>

#include "io/json.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kWindowTicks = 10;

Json quantiles(const std::vector<uint64_t>& old, const std::vector<uint64_t>& now,
               std::span<const double> bounds) {
  std::vector<uint64_t> counts(now.size());
  for (size_t i = 0; i < now.size(); ++i) counts[i] = now[i] - old[i];
  const auto at = [&](double share) -> Json {
    const double value = quantile(counts, bounds, share);
    return value < 0 ? Json(nullptr) : Json(value);
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}};
}

}  // namespace

StatsFeed::StatsFeed(const EngineLoop& engine, const Metrics& metrics, const Clock& clock)
    : engine_(engine), metrics_(metrics), clock_(clock) {
  history_.push_back(take());
}

StatsFeed::Snapshot StatsFeed::take() const {
  const engine::Stats stats = engine_.stats();
  return {clock_.now(),
          stats.prompt_tokens_computed + stats.prompt_tokens_cached,
          stats.generation_tokens,
          stats.steps,
          stats.step_tokens,
          metrics_.time_to_first_token_seconds.counts(),
          metrics_.inter_token_latency_seconds.counts()};
}

Json StatsFeed::line() const {
  const engine::Stats stats = engine_.stats();
  const Snapshot& now = history_.back();
  const Snapshot& last = history_.size() > 1 ? history_[history_.size() - 2] : now;
  const Snapshot& oldest = history_.front();
  const double passed = static_cast<double>(now.at - last.at) / kSecond;
  const auto rate = [&](uint64_t to, uint64_t from) {
    return passed > 0 ? static_cast<double>(to - from) / passed : 0.0;
  };
  const auto share = [&](int32_t blocks) {
    return stats.blocks_total > 0 ? static_cast<double>(blocks) / stats.blocks_total : 0.0;
  };
  const uint64_t steps = now.steps - last.steps;
  const Json tokens_per_step = steps == 0
                                   ? Json(nullptr)
                                   : Json(static_cast<double>(now.step_tokens - last.step_tokens) /
                                          static_cast<double>(steps));
  return {{"time", static_cast<double>(clock_.wall()) / kSecond},
          {"running", stats.running},
          {"waiting", stats.waiting + stats.waiting_siblings},
          {"kv_cache_usage", share(stats.blocks_used)},
          {"kv_cache_cached", share(stats.blocks_cached)},
          {"tokens_per_step", tokens_per_step},
          {"prompt_tokens_per_second", rate(now.prompt_tokens, last.prompt_tokens)},
          {"generation_tokens_per_second", rate(now.generation_tokens, last.generation_tokens)},
          {"ttft_seconds", quantiles(oldest.ttft, now.ttft, kLatencyBounds)},
          {"itl_seconds", quantiles(oldest.itl, now.itl, kLatencyBounds)}};
}

Json StatsFeed::latest() const {
  const std::lock_guard lock(mutex_);
  return line();
}

void StatsFeed::subscribe(std::shared_ptr<Reply> reply) {
  reply->begin_events();
  const std::lock_guard lock(mutex_);
  reply->event_text("", io::dump_json(line()));
  subscribers_.push_back(std::move(reply));
}

void StatsFeed::unsubscribe(const Reply* reply) {
  std::shared_ptr<Reply> kept;  // dies after the lock is gone
  const std::lock_guard lock(mutex_);
  const auto it = std::find_if(subscribers_.begin(), subscribers_.end(),
                               [&](const auto& entry) { return entry.get() == reply; });
  if (it == subscribers_.end()) return;
  kept = std::move(*it);
  subscribers_.erase(it);
}

void StatsFeed::tick() {
  const std::lock_guard lock(mutex_);
  history_.push_back(take());
  if (history_.size() > kWindowTicks + 1) history_.pop_front();
  if (subscribers_.empty()) return;
  const std::string text = io::dump_json(line());
  // A client that does not read misses lines.
  for (const auto& reply : subscribers_) {
    if (reply->writable()) reply->event_text("", text);
  }
}

void StatsFeed::close() {
  std::vector<std::shared_ptr<Reply>> subscribers;
  {
    const std::lock_guard lock(mutex_);
    subscribers.swap(subscribers_);
  }
  for (const auto& reply : subscribers) {
    reply->event_text("", "[DONE]");
    reply->end();
  }
}

}  // namespace hearth::serve
