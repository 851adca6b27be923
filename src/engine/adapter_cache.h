// Which adapters are in memory, and in which pages of it. An adapter is stored (known, not in
// memory), loading (pages are set aside, the hands fill them) or resident. Those that a request
// uses stay; of the others the least recently used gives way. Integers only: the bytes are the
// hands' (adapters/). Touched by the engine's thread only.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/types.h"

namespace hearth::engine {

// What the hands are to do, in this order, before the step that comes with it.
struct AdapterOrder {
  enum class Kind : uint8_t {
    kEvict,   // its pages belong to nobody now
    kLoad,    // bring it into `pages` in the background; Scheduler::adapter_loaded() when done
    kForget,  // it is not used any more and will not come back
  };
  Kind kind = Kind::kLoad;
  AdapterId adapter = kBaseModel;
  std::vector<PageId> pages;
};

struct AdapterStats {
  // Gauges.
  int32_t known = 0;  // the three below
  int32_t stored = 0;
  int32_t loading = 0;
  int32_t resident = 0;
  int32_t used = 0;  // residents that requests hold
  int32_t pages_total = 0;
  int32_t pages_taken = 0;
  // Counters.
  uint64_t loads = 0;
  uint64_t load_failures = 0;
  uint64_t hits = 0;    // requests that found their adapter in memory when they came
  uint64_t misses = 0;  // requests that had to wait for theirs
  uint64_t evicted_for_room = 0;
  uint64_t evicted_by_unload = 0;
};

class AdapterCache {
 public:
  // At most `max_used` adapters are used or loaded at once; 0: as many as there are.
  AdapterCache(int32_t pages, int32_t max_used);

  // A new adapter that takes so many pages, at most all. Ids are never used again.
  void add(AdapterId adapter, int32_t pages);
  // Nobody new may enter. It is forgotten when the last request has left.
  void remove(AdapterId adapter);
  // Added and not removed.
  bool open(AdapterId adapter) const;

  // A request comes into the engine, and goes.
  void enter(AdapterId adapter);
  void leave(AdapterId adapter);

  enum class Access : uint8_t { kReady, kLoading, kNoRoom };
  // For a request that has entered: kReady makes it a user, until release(). kLoading: it is on its
  // way, perhaps since now; ask again when it is loaded. kNoRoom: what is in memory is in use.
  Access acquire(AdapterId adapter);
  void release(AdapterId adapter);
  bool resident(AdapterId adapter) const;

  // The hands are done with kLoad.
  void loaded(AdapterId adapter);
  void failed(AdapterId adapter);

  bool has_orders() const { return !orders_.empty(); }
  // All orders since the last call, in order.
  void take_orders(std::vector<AdapterOrder>& orders);

  AdapterStats stats() const;
  // Walks everything and says what contradicts what; empty: nothing does. For simulations.
  std::string audit() const;

 private:
  enum class State : uint8_t { kStored, kLoading, kResident };
  struct Entry {
    int32_t pages_needed = 0;
    State state = State::kStored;
    bool removed = false;
    int32_t requests = 0;  // in the engine
    int32_t users = 0;     // of those, the ones that have acquired it
    std::vector<PageId> pages;
    std::list<AdapterId>::iterator idle;  // while resident without users
  };

  Entry& at(AdapterId adapter);
  const Entry& at(AdapterId adapter) const;
  bool make_room(int32_t pages);
  void evict(AdapterId adapter, Entry& entry);
  void free_pages(Entry& entry);
  void forget_if_done(AdapterId adapter);

  const int32_t total_;
  const int32_t max_used_;
  std::unordered_map<AdapterId, Entry> entries_;
  std::list<AdapterId> idle_;  // resident without users, least recently used first
  int32_t idle_pages_ = 0;
  std::vector<PageId> free_;
  std::vector<AdapterOrder> orders_;
  AdapterStats stats_;
};

}  // namespace hearth::engine
