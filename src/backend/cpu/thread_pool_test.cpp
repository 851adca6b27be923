#include "backend/cpu/thread_pool.h"

#include <atomic>
#include <gtest/gtest.h>
#include <vector>

namespace hearth::backend::cpu {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceOnAWorkerThatExists) {
  for (int threads = 1; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.count(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 17, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      pool.run(tasks, [&](int64_t task, int worker) {
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, threads);
        runs[static_cast<size_t>(task)].fetch_add(1);
      });
      for (const auto& run : runs) EXPECT_EQ(run.load(), 1);
    }
  }
}

// Late workers of one loop meet the tasks of the next: each loop must still be whole when run()
// returns.
TEST(ThreadPool, ShortLoopsFollowEachOther) {
  ThreadPool pool(4);
  int64_t sum[7];
  for (int64_t loop = 0; loop < 20000; ++loop) {
    const int64_t tasks = 2 + loop % 6;
    for (int64_t& value : sum) value = -1;
    pool.run(tasks, [&](int64_t task, int) { sum[task] = loop + task; });
    for (int64_t task = 0; task < tasks; ++task) ASSERT_EQ(sum[task], loop + task);
  }
}

// Whoever is held up in a task finds all others done when it comes back, its own share too.
TEST(ThreadPool, OthersTakeWhatAHeldUpThreadLeaves) {
  for (int threads = 2; threads <= 4; ++threads) {
    ThreadPool pool(threads);
    for (const int64_t held_up : {0, 7, 19}) {
      constexpr int kTasks = 20;
      std::atomic<int> done = 0;
      pool.run(kTasks, [&](int64_t task, int) {
        for (int seen = done; task == held_up && seen < kTasks - 1; seen = done) done.wait(seen);
        done.fetch_add(1);
        done.notify_all();
      });
      EXPECT_EQ(done.load(), kTasks);
    }
  }
}

TEST(ThreadPool, UsesTheCoresOfThisProcessByDefault) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.count(), usable_cores());
}

}  // namespace
}  // namespace hearth::backend::cpu
