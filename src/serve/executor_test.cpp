#include "serve/executor.h"

#include <atomic>  // tidy: allow threads: a pool is made of them
#include <gtest/gtest.h>

namespace hearth::serve {
namespace {

TEST(WorkerPool, WhatIsPostedWhileHeldBeginsWithTheRelease) {
  std::atomic<int> begun{0};
  {
    const auto pool = make_worker_pool(2);
    {
      const Gathering outer(*pool);
      const Gathering inner(*pool);
      for (int i = 0; i < 3; ++i) pool->post([&] { ++begun; });
      EXPECT_EQ(begun, 0);
    }
    pool->post([&] { ++begun; });
  }
  EXPECT_EQ(begun, 4) << "the pool ends with nothing undone";
}

}  // namespace
}  // namespace hearth::serve
