#include "engine/adapter_cache.h"

#include <gtest/gtest.h>
#include <map>

#include "base/random.h"

namespace hearth::engine {
namespace {

using Access = AdapterCache::Access;
using Kind = AdapterOrder::Kind;

std::vector<AdapterOrder> orders_of(AdapterCache& cache) {
  std::vector<AdapterOrder> orders;
  cache.take_orders(orders);
  return orders;
}

// Brings an adapter into memory and leaves it idle there.
void bring(AdapterCache& cache, AdapterId adapter) {
  cache.enter(adapter);
  ASSERT_EQ(cache.acquire(adapter), Access::kLoading);
  cache.loaded(adapter);
  ASSERT_EQ(cache.acquire(adapter), Access::kReady);
  cache.release(adapter);
  cache.leave(adapter);
}

TEST(AdapterCache, LoadsOnFirstUseAndStays) {
  AdapterCache cache(4, 0);
  cache.add(1, 3);
  cache.enter(1);
  EXPECT_EQ(cache.acquire(1), Access::kLoading);
  EXPECT_EQ(cache.acquire(1), Access::kLoading);
  const auto orders = orders_of(cache);
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].kind, Kind::kLoad);
  EXPECT_EQ(orders[0].pages.size(), 3u);
  cache.loaded(1);
  EXPECT_EQ(cache.acquire(1), Access::kReady);
  cache.release(1);
  cache.leave(1);
  EXPECT_TRUE(cache.resident(1));
  cache.enter(1);
  EXPECT_EQ(cache.stats().hits, 1u);
  EXPECT_EQ(cache.stats().misses, 1u);
  EXPECT_EQ(cache.audit(), "");
}

TEST(AdapterCache, TheLeastRecentlyUsedGivesWay) {
  AdapterCache cache(3, 0);
  for (AdapterId id = 1; id <= 4; ++id) cache.add(id, 1);
  for (AdapterId id = 1; id <= 3; ++id) bring(cache, id);
  cache.enter(1);
  EXPECT_EQ(cache.acquire(1), Access::kReady);
  cache.release(1);
  orders_of(cache);
  cache.enter(4);
  EXPECT_EQ(cache.acquire(4), Access::kLoading);
  const auto orders = orders_of(cache);
  ASSERT_EQ(orders.size(), 2u);
  EXPECT_EQ(orders[0].kind, Kind::kEvict);
  EXPECT_EQ(orders[0].adapter, 2);
  EXPECT_EQ(orders[1].adapter, 4);
  EXPECT_EQ(cache.stats().evicted_for_room, 1u);
}

TEST(AdapterCache, NothingIsEvictedThatIsUsedOrThatWouldNotBeEnough) {
  AdapterCache cache(4, 0);
  for (AdapterId id = 1; id <= 3; ++id) cache.add(id, id == 3 ? 4 : 2);
  bring(cache, 1);
  bring(cache, 2);
  cache.enter(2);
  EXPECT_EQ(cache.acquire(2), Access::kReady);
  cache.enter(3);
  EXPECT_EQ(cache.acquire(3), Access::kNoRoom);
  EXPECT_TRUE(cache.resident(1));
  cache.release(2);
  EXPECT_EQ(cache.acquire(3), Access::kLoading);
  EXPECT_FALSE(cache.resident(1));
  EXPECT_EQ(cache.audit(), "");
}

TEST(AdapterCache, ARemovedOneGoesWithItsLastRequest) {
  AdapterCache cache(2, 0);
  cache.add(1, 1);
  cache.enter(1);
  cache.acquire(1);
  cache.loaded(1);
  cache.acquire(1);
  cache.remove(1);
  EXPECT_FALSE(cache.open(1));
  orders_of(cache);
  cache.release(1);
  EXPECT_FALSE(cache.has_orders());
  cache.leave(1);
  const auto orders = orders_of(cache);
  ASSERT_EQ(orders.size(), 2u);
  EXPECT_EQ(orders[0].kind, Kind::kEvict);
  EXPECT_EQ(orders[1].kind, Kind::kForget);
  EXPECT_EQ(cache.stats().evicted_by_unload, 1u);
  EXPECT_EQ(cache.stats().known, 0);
}

TEST(AdapterCache, ARemovedOneIsForgottenOnlyAfterItsLoadHasEnded) {
  AdapterCache cache(2, 0);
  cache.add(1, 1);
  cache.enter(1);
  cache.acquire(1);
  cache.remove(1);
  cache.leave(1);
  EXPECT_EQ(cache.stats().known, 1);
  cache.failed(1);
  EXPECT_EQ(cache.stats().known, 0);
  EXPECT_EQ(cache.audit(), "");
}

TEST(AdapterCache, AtMostSoManyAreUsed) {
  AdapterCache cache(4, 1);
  cache.add(1, 1);
  cache.add(2, 1);
  bring(cache, 1);
  bring(cache, 2);
  cache.enter(1);
  cache.enter(2);
  EXPECT_EQ(cache.acquire(1), Access::kReady);
  EXPECT_EQ(cache.acquire(2), Access::kNoRoom);
  cache.release(1);
  EXPECT_EQ(cache.acquire(2), Access::kReady);
}

// Anything in any order: pages are never shared or lost, and a kReady one is in memory.
TEST(AdapterCache, RandomHistories) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto draw = [&](int64_t low, int64_t high) {
      return static_cast<int32_t>(random.between(low, high));
    };
    const int32_t pages = draw(1, 12);
    AdapterCache cache(pages, draw(0, 3));
    struct Model {
      int32_t requests = 0, users = 0;
      bool open = true, loading = false;
    };
    std::map<AdapterId, Model> known;
    AdapterId next = 1;
    for (int i = 0; i < 120; ++i) {
      if (known.empty() || random.chance(0.1)) {
        cache.add(next, draw(1, pages));
        known[next++];
      }
      auto at = known.begin();
      std::advance(at, random.below(known.size()));
      auto& [id, model] = *at;
      switch (random.below(7)) {
        case 0:
        case 1:
          if (model.open) cache.enter(id), ++model.requests;
          break;
        case 2:
        case 3:
          if (model.requests > model.users) {
            const Access access = cache.acquire(id);
            if (access == Access::kReady) {
              ++model.users;
              ASSERT_TRUE(cache.resident(id));
            }
            if (access == Access::kLoading) model.loading = true;
          }
          break;
        case 4:
          if (model.users > 0) cache.release(id), --model.users;
          break;
        case 5:
          if (model.requests > model.users) cache.leave(id), --model.requests;
          break;
        default:
          if (model.loading) {
            model.loading = false;
            random.chance(0.8) ? cache.loaded(id) : cache.failed(id);
          } else if (model.open && random.chance(0.3)) {
            model.open = false;
            cache.remove(id);
          }
      }
      if (!model.open && model.requests == 0 && !model.loading) known.erase(at);
      ASSERT_EQ(cache.audit(), "");
      ASSERT_EQ(cache.stats().known, std::ssize(known));
    }
  }
}

}  // namespace
}  // namespace hearth::engine
