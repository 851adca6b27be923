#include "engine/adapter_cache.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"

namespace hearth::engine {

AdapterCache::AdapterCache(int32_t pages, int32_t max_used) : total_(pages), max_used_(max_used) {
  for (PageId page = pages; page-- > 0;) free_.push_back(page);
  stats_.pages_total = pages;
}

AdapterCache::Entry& AdapterCache::at(AdapterId adapter) {
  const auto found = entries_.find(adapter);
  CHECK(found != entries_.end(), "adapter {} is not known", adapter);
  return found->second;
}

const AdapterCache::Entry& AdapterCache::at(AdapterId adapter) const {
  return const_cast<AdapterCache*>(this)->at(adapter);
}

void AdapterCache::add(AdapterId adapter, int32_t pages) {
  CHECK(adapter != kBaseModel && pages > 0 && pages <= total_, "adapter {} takes {} of {} pages",
        adapter, pages, total_);
  const auto [where, inserted] = entries_.try_emplace(adapter);
  CHECK(inserted, "adapter {} is known already", adapter);
  where->second.pages_needed = pages;
}

void AdapterCache::remove(AdapterId adapter) {
  at(adapter).removed = true;
  forget_if_done(adapter);
}

bool AdapterCache::open(AdapterId adapter) const {
  const auto found = entries_.find(adapter);
  return found != entries_.end() && !found->second.removed;
}

void AdapterCache::enter(AdapterId adapter) {
  Entry& entry = at(adapter);
  ++entry.requests;
  ++(entry.state == State::kResident ? stats_.hits : stats_.misses);
}

void AdapterCache::leave(AdapterId adapter) {
  Entry& entry = at(adapter);
  CHECK(entry.requests > entry.users, "adapter {} is left by a user", adapter);
  --entry.requests;
  forget_if_done(adapter);
}

bool AdapterCache::resident(AdapterId adapter) const {
  return at(adapter).state == State::kResident;
}

AdapterCache::Access AdapterCache::acquire(AdapterId adapter) {
  Entry& entry = at(adapter);
  if (entry.state == State::kLoading) return Access::kLoading;
  const bool place = max_used_ == 0 || stats_.used + stats_.loading < max_used_;
  if (entry.state == State::kResident) {
    if (entry.users == 0) {
      if (!place) return Access::kNoRoom;
      idle_.erase(entry.idle);
      idle_pages_ -= entry.pages_needed;
      ++stats_.used;
    }
    ++entry.users;
    return Access::kReady;
  }
  if (!place || !make_room(entry.pages_needed)) return Access::kNoRoom;
  entry.state = State::kLoading;
  ++stats_.loading;
  ++stats_.loads;
  const auto first = free_.end() - entry.pages_needed;
  entry.pages.assign(first, free_.end());
  free_.erase(first, free_.end());
  orders_.push_back({AdapterOrder::Kind::kLoad, adapter, entry.pages});
  return Access::kLoading;
}

void AdapterCache::release(AdapterId adapter) {
  Entry& entry = at(adapter);
  CHECK(entry.users > 0, "adapter {} has no users", adapter);
  if (--entry.users > 0) return;
  --stats_.used;
  entry.idle = idle_.insert(idle_.end(), adapter);
  idle_pages_ += entry.pages_needed;
}

void AdapterCache::loaded(AdapterId adapter) {
  Entry& entry = at(adapter);
  CHECK(entry.state == State::kLoading, "adapter {} was not being loaded", adapter);
  entry.state = State::kResident;
  --stats_.loading;
  ++stats_.resident;
  entry.idle = idle_.insert(idle_.end(), adapter);
  idle_pages_ += entry.pages_needed;
  forget_if_done(adapter);
}

void AdapterCache::failed(AdapterId adapter) {
  Entry& entry = at(adapter);
  CHECK(entry.state == State::kLoading, "adapter {} was not being loaded", adapter);
  entry.state = State::kStored;
  --stats_.loading;
  ++stats_.load_failures;
  free_pages(entry);
  forget_if_done(adapter);
}

void AdapterCache::take_orders(std::vector<AdapterOrder>& orders) {
  orders.clear();
  orders.swap(orders_);
}

// Evicts only if that is enough.
bool AdapterCache::make_room(int32_t pages) {
  if (static_cast<int32_t>(free_.size()) + idle_pages_ < pages) return false;
  while (static_cast<int32_t>(free_.size()) < pages) {
    const AdapterId oldest = idle_.front();
    evict(oldest, at(oldest));
    ++stats_.evicted_for_room;
  }
  return true;
}

void AdapterCache::evict(AdapterId adapter, Entry& entry) {
  CHECK(entry.state == State::kResident && entry.users == 0, "adapter {} is in use", adapter);
  idle_.erase(entry.idle);
  idle_pages_ -= entry.pages_needed;
  entry.state = State::kStored;
  --stats_.resident;
  free_pages(entry);
  orders_.push_back({AdapterOrder::Kind::kEvict, adapter, {}});
}

void AdapterCache::free_pages(Entry& entry) {
  free_.insert(free_.end(), entry.pages.begin(), entry.pages.end());
  entry.pages.clear();
}

// What is being loaded is waited for: the hands are writing to its pages.
void AdapterCache::forget_if_done(AdapterId adapter) {
  Entry& entry = at(adapter);
  if (!entry.removed || entry.requests > 0 || entry.state == State::kLoading) return;
  if (entry.state == State::kResident) {
    evict(adapter, entry);
    ++stats_.evicted_by_unload;
  }
  orders_.push_back({AdapterOrder::Kind::kForget, adapter, {}});
  entries_.erase(adapter);
}

AdapterStats AdapterCache::stats() const {
  AdapterStats stats = stats_;
  stats.known = static_cast<int32_t>(entries_.size());
  stats.stored = stats.known - stats.loading - stats.resident;
  stats.pages_taken = total_ - static_cast<int32_t>(free_.size());
  return stats;
}

std::string AdapterCache::audit() const {
  std::vector<int32_t> holders(static_cast<size_t>(total_));
  for (PageId page : free_) ++holders[static_cast<size_t>(page)];
  int32_t idle_pages = 0, resident = 0, loading = 0, used = 0;
  for (const auto& [adapter, entry] : entries_) {
    for (PageId page : entry.pages) ++holders[static_cast<size_t>(page)];
    const bool in_memory = entry.state != State::kStored;
    if (std::ssize(entry.pages) != (in_memory ? entry.pages_needed : 0)) {
      return fmt::format("adapter {} holds {} pages and needs {}", adapter, entry.pages.size(),
                         entry.pages_needed);
    }
    if (entry.users > entry.requests || (entry.users > 0 && entry.state != State::kResident)) {
      return fmt::format("adapter {} has {} users of {} requests and is not in memory", adapter,
                         entry.users, entry.requests);
    }
    resident += entry.state == State::kResident;
    loading += entry.state == State::kLoading;
    used += entry.users > 0;
    if (entry.state == State::kResident && entry.users == 0) idle_pages += entry.pages_needed;
  }
  for (size_t page = 0; page < holders.size(); ++page) {
    if (holders[page] != 1) return fmt::format("page {} is held {} times", page, holders[page]);
  }
  if (idle_pages != idle_pages_ || resident != stats_.resident || loading != stats_.loading ||
      used != stats_.used) {
    return fmt::format(
        "{} idle pages counted as {}, {} resident as {}, {} loading as {}, {} used "
        "as {}",
        idle_pages, idle_pages_, resident, stats_.resident, loading, stats_.loading, used,
        stats_.used);
  }
  if (max_used_ > 0 && used + loading > max_used_) {
    return fmt::format("{} adapters used and {} loading, max_loras = {}", used, loading, max_used_);
  }
  return {};
}

}  // namespace hearth::engine
