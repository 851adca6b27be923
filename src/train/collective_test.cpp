// What ranks do together, over each wire.
#include "train/collective.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
// tidy: allow threads: ranks that wait for each other
#include <thread>

#include "base/error.h"
#include "train/internal/rank_threads.h"

namespace hearth::train {
namespace {

using internal::Carrier;
using internal::on_ranks;
using testing::HasSubstr;

// Stands still until it is told to hurry; then every look at it is a second later.
class HurryingClock final : public Clock {
 public:
  Nanos now() const override { return now_ += step_; }
  Nanos wall() const override { return now(); }
  void hurry() { step_ = kSecond; }

 private:
  mutable std::atomic<Nanos> now_{0};
  std::atomic<Nanos> step_{0};
};

class CollectiveTest : public testing::TestWithParam<Carrier> {};

TEST_P(CollectiveTest, SumsCopiesAndBroadcasts) {
  on_ranks(3, GetParam(), [](Wire& wire) {
    Collective ranks(&wire);
    const auto self = static_cast<float>(ranks.rank());
    // Rank 1 keeps nothing of this one; rank 0 keeps both ends.
    const Slice slices[] = {{0, 2, 0}, {2, 5, 2}, {5, 6, 0}};
    std::vector<float> values(6);
    for (size_t i = 0; i < values.size(); ++i) values[i] = 10 * self + static_cast<float>(i);
    std::vector<float> own(ranks.rank() == 1 ? 0 : 3, 100.0f);
    ranks.reduce_scatter(values, slices, own, "sums");
    if (ranks.rank() == 0) {
      EXPECT_EQ(own, (std::vector<float>{130, 133, 145}));
    }
    if (ranks.rank() == 2) {
      EXPECT_EQ(own, (std::vector<float>{136, 139, 142}));
    }

    std::vector<std::byte> bytes(6, static_cast<std::byte>(ranks.rank()));
    ranks.all_gather(bytes, slices, "copies");
    for (const Slice& slice : slices) {
      for (auto i = slice.begin; i < slice.end; ++i) {
        EXPECT_EQ(static_cast<int>(bytes[static_cast<size_t>(i)]), slice.owner);
      }
    }
    std::vector<float> all = {self, 1, 2, 3, 4, 5, -self};
    ranks.all_reduce(all, "everything");
    EXPECT_EQ(all, (std::vector<float>{3, 3, 6, 9, 12, 15, -3}));

    std::byte word[] = {static_cast<std::byte>(ranks.rank())};
    ranks.broadcast(word, 2, "a word");
    EXPECT_EQ(static_cast<int>(word[0]), 2);
    ranks.barrier("the end");
  });
}

TEST_P(CollectiveTest, SumsAreMadeInTheOrderOfRanks) {
  on_ranks(4, GetParam(), [](Wire& wire) {
    Collective ranks(&wire);
    const float parts[] = {1.0f, 1e8f, -1e8f, 1.0f};
    std::vector<float> value = {parts[ranks.rank()]};
    ranks.all_reduce(value, "sum");
    EXPECT_EQ(value[0], ((1.0f + 1e8f) - 1e8f) + 1.0f);
  });
}

// Larger than a socket's buffer in each direction at once.
TEST_P(CollectiveTest, LargeParcelsPassEachOther) {
  on_ranks(2, GetParam(), [](Wire& wire) {
    Collective ranks(&wire);
    std::vector<float> values(size_t{6} << 20, static_cast<float>(ranks.rank() + 1));
    ranks.all_reduce(values, "much");
    EXPECT_EQ(values.front(), 3.0f);
    EXPECT_EQ(values.back(), 3.0f);
  });
}

TEST_P(CollectiveTest, ARankThatLeavesIsNamed) {
  try {
    on_ranks(3, GetParam(), [](Wire& wire) {
      Collective ranks(&wire);
      ranks.barrier("the first");
      if (wire.rank() != 2) ranks.barrier("the second");
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kUnavailable);
    EXPECT_THAT(error.text, HasSubstr("rank 2"));
    EXPECT_THAT(error.text, HasSubstr("gone"));
  }
}

INSTANTIATE_TEST_SUITE_P(Wires, CollectiveTest,
                         testing::Values(Carrier::kThreads, Carrier::kSockets),
                         [](const auto& carrier) {
                           return carrier.param == Carrier::kThreads ? "Threads" : "Sockets";
                         });

// Rank 1 says who it is and then nothing.
TEST(SocketWire, ARankThatStaysSilentIsNamed) {
  const auto mesh = make_socket_mesh(2);
  HurryingClock clock;
  std::unique_ptr<SocketWire> silent;
  // tidy: allow threads: ranks that wait for each other
  std::thread other(
      [&] { silent = std::make_unique<SocketWire>(1, mesh[1], kSecond * 99, clock); });
  SocketWire wire(0, mesh[0], 30 * kMillisecond, clock);
  other.join();
  clock.hurry();
  Collective ranks(&wire);
  try {
    ranks.barrier("step 7, gradients 2/3");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.text, HasSubstr("rank 1 ("));
    EXPECT_THAT(error.text, HasSubstr("pid "));
    EXPECT_THAT(error.text, HasSubstr("has not arrived at step 7, gradients 2/3"));
    EXPECT_THAT(error.text, HasSubstr("last heard of"));
  }
  // Who comes later finds what was sent before, and then why there is nobody.
  Collective late(silent.get());
  late.barrier("step 7, gradients 2/3");
  try {
    late.barrier("step 7, gradients 3/3");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.text, HasSubstr("rank 1 ("));
    EXPECT_THAT(error.text, HasSubstr("has not arrived"));
  }
}

}  // namespace
}  // namespace hearth::train
