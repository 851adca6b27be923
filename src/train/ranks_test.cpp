// Several ranks train as one does. Ranks are threads here; tests/training runs them as processes.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cpu/train_kernels.h"
#include "base/error.h"
#include "io/json.h"
#include "train/hf_files.h"
#include "train/internal/rank_threads.h"
#include "train/internal/tiny_run.h"
#include "train/shard_plan.h"

namespace hearth::train {
namespace {

namespace cpu = backend::cpu;
using internal::Carrier;
using internal::on_ranks;
using internal::Recorder;
using testing::HasSubstr;

class RanksTest : public testing::Test {
 protected:
  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }

  // The steps as rank 0 reports them; all ranks must say the same.
  std::vector<StepReport> run(const TrainConfig& config, int ranks, int64_t stop_after = -1,
                              Carrier carrier = Carrier::kThreads) {
    std::vector<StepReport> steps;
    on_ranks(ranks, carrier, [&](Wire& wire) {
      internal::Alone alone;
      ops::Scratch scratch;
      const FakeClock clock;
      // The stop comes from one rank, and ends all.
      Recorder recorder(wire.rank() == wire.size() - 1 ? stop_after : -1);
      Trainer trainer(config, {cpu::train_kernels(), alone, scratch}, clock, &wire);
      trainer.run(recorder, recorder.stop);
      Collective others(&wire);
      for (const StepReport& report : recorder.steps) {
        const double mine[] = {report.loss, report.grad_norm};
        const std::vector<double> all = others.all_gather(mine, "what they say");
        for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], mine[i % 2]);
      }
      if (wire.rank() == 0) steps = recorder.steps;
    });
    return steps;
  }

  static void expect_close(const std::vector<StepReport>& a, const std::vector<StepReport>& b,
                           double loss, double norm) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].tokens, b[i].tokens);
      EXPECT_NEAR(a[i].loss, b[i].loss, loss) << "step " << i + 1;
      EXPECT_NEAR(a[i].grad_norm, b[i].grad_norm, norm * b[i].grad_norm) << "step " << i + 1;
    }
  }

  static void expect_equal(const std::vector<StepReport>& a, const std::vector<StepReport>& b) {
    expect_close(a, b, 0, 0);
  }

  TrainConfig config(const std::string& out) {
    TrainConfig c = tiny_.config(out);
    c.run.precision = "f32";
    c.run.save_dtype = "f32";
    c.schedule.steps = 8;
    c.parallel.bucket_mb = 0.01;  // several buckets
    return c;
  }

  internal::TinyRun tiny_{testing::TempDir() + "hearth-ranks-" + test_name()};
};

TEST_F(RanksTest, AnyNumberOfRanksGivesTheSameCurve) {
  for (const char* optimizer : {"adamw", "muon"}) {
    TrainConfig c = config(std::string("alone-") + optimizer);
    c.optimizer.name = optimizer;
    const std::vector<StepReport> alone = run(c, 1);
    for (const int ranks : {2, 4, 8}) {
      for (const int64_t zero : {1, 2}) {
        c.run.out = tiny_.folder() + "/" + optimizer + std::to_string(10 * ranks + zero);
        c.parallel.zero = zero;
        SCOPED_TRACE(c.run.out);
        expect_close(run(c, ranks), alone, 3e-5, 1e-3);
      }
    }
  }
}

// Ranks and micro-batches at once: every split of the same documents is the same update.
TEST_F(RanksTest, MicroBatchesOfRanksChangeNothing) {
  TrainConfig c = config("whole");
  c.batch.micro_tokens = 100000;
  const std::vector<StepReport> whole = run(c, 1);
  for (const int64_t micro : {1, 50}) {
    for (const int64_t zero : {1, 2}) {
      c.run.out = tiny_.folder() + "/m" + std::to_string(10 * micro + zero);
      c.batch.micro_tokens = micro;
      c.parallel.zero = zero;
      SCOPED_TRACE(c.run.out);
      expect_close(run(c, 3), whole, 3e-5, 1e-3);
    }
  }
}

// In bf16 the owners' master weights stay with them; what is saved is gathered from all.
TEST_F(RanksTest, NarrowWeightsAreSharedAndTheModelIsWhole) {
  TrainConfig c = config("alone");
  c.run.precision = "bf16";
  c.schedule.steps = 20;
  const std::vector<StepReport> alone = run(c, 1);
  const std::string folder = c.run.out;
  c.run.out = tiny_.folder() + "/ranks";
  expect_close(run(c, 3), alone, 1e-2, 5e-2);
  for (const std::string& out : {folder, c.run.out}) {
    auto model = make_model(io::load_json(out + "/model/config.json"), {.compute = DType::kF32},
                            "config.json");
    load_weights(out + "/model", *model);
    internal::Alone workers;
    ops::Scratch scratch;
    ops::TrainContext ctx{cpu::train_kernels(), workers, scratch};
    DataStream data(c.data.validation, 32, 1);
    EXPECT_LT(evaluate(ctx, *model, data, 128, 0).loss, 2.9);  // log 29 = 3.37 before
  }
}

TEST_F(RanksTest, ValidationIsSharedOut) {
  TrainConfig c = config("run");
  c.schedule.steps = 1;
  std::vector<double> losses;
  for (const int ranks : {1, 3}) {
    c.run.out = tiny_.folder() + "/v" + std::to_string(ranks);
    c.batch.micro_tokens = 64;
    on_ranks(ranks, Carrier::kThreads, [&](Wire& wire) {
      internal::Alone alone;
      ops::Scratch scratch;
      const FakeClock clock;
      Recorder recorder;
      Trainer trainer(c, {cpu::train_kernels(), alone, scratch}, clock, &wire);
      trainer.run(recorder, recorder.stop);
      ASSERT_EQ(recorder.validations.size(), 1u);
      if (wire.rank() == 0) losses.push_back(recorder.validations[0].loss);
    });
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-4);
}

TEST_F(RanksTest, TheWireAndTheTimeChangeNoBit) {
  TrainConfig c = config("a");
  c.parallel.zero = 2;
  const std::vector<StepReport> first = run(c, 4);
  c.run.out = tiny_.folder() + "/b";
  expect_equal(run(c, 4), first);
  c.run.out = tiny_.folder() + "/c";
  expect_equal(run(c, 4, -1, Carrier::kSockets), first);
}

TEST_F(RanksTest, ResumedOnAsManyRanksBitForBit) {
  for (const char* optimizer : {"adamw", "muon"}) {
    TrainConfig c = config(std::string("whole-") + optimizer);
    c.run.precision = "bf16";
    c.optimizer.name = optimizer;
    const std::vector<StepReport> whole = run(c, 3);
    c.run.out = tiny_.folder() + "/pieces-" + optimizer;
    c.run.checkpoint_every = 2;
    std::vector<StepReport> pieces;
    for (const int64_t stop : {1, 5, -1}) {
      const std::vector<StepReport> part = run(c, 3, stop);
      pieces.insert(pieces.end(), part.begin(), part.end());
    }
    expect_equal(pieces, whole);
  }
}

TEST_F(RanksTest, ResumedOnOtherNumbersOfRanks) {
  TrainConfig c = config("whole");
  const std::vector<StepReport> whole = run(c, 1);
  c.run.out = tiny_.folder() + "/pieces";
  std::vector<StepReport> pieces;
  const std::pair<int, int64_t> parts[] = {{4, 2}, {1, 4}, {3, 6}, {2, -1}};
  for (const auto& [ranks, stop] : parts) {
    const std::vector<StepReport> part = run(c, ranks, stop);
    pieces.insert(pieces.end(), part.begin(), part.end());
  }
  expect_close(pieces, whole, 3e-5, 1e-3);
}

// One rank fails in the middle of the run: the others name it and end.
TEST_F(RanksTest, ARankThatFailsEndsTheRun) {
  const TrainConfig c = config("run");
  try {
    on_ranks(3, Carrier::kSockets, [&](Wire& wire) {
      internal::Alone alone;
      ops::Scratch scratch;
      const FakeClock clock;
      Recorder recorder;
      recorder.after_step = [&](int64_t step) {
        if (wire.rank() == 1 && step == 3) {
          throw_error(ErrorCode::kIo, "disk", "gave up");
        }
      };
      Trainer trainer(c, {cpu::train_kernels(), alone, scratch}, clock, &wire);
      trainer.run(recorder, recorder.stop);
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.text, HasSubstr("rank 1 ("));
    EXPECT_THAT(error.text, HasSubstr("step 4"));
  }
}

// Whatever the buckets: every element has one owner, matrices of Muon are not cut, loads are even.
TEST_F(RanksTest, PlansCoverEverythingOnce) {
  const TrainConfig c = config("plan");
  internal::Alone alone;
  ops::Scratch scratch;
  const FakeClock clock;
  Trainer trainer(c, {cpu::train_kernels(), alone, scratch}, clock);
  const Parameters& parameters = trainer.model().parameters();
  const int64_t size = parameters.flat_master().shape.count();
  for (const OptimizerKind kind : {OptimizerKind::kAdamw, OptimizerKind::kMuon}) {
    for (const int64_t bytes : {1, 20000, 1 << 30}) {
      const ShardPlan plan = make_shard_plan(parameters, kind, 3, bytes);
      EXPECT_GE(plan.buckets.size(), bytes == 1 ? parameters.list().size() : 1);
      int64_t end = size;
      for (const Bucket& bucket : plan.buckets) {
        EXPECT_EQ(bucket.end, end);
        int64_t at = end = bucket.begin;
        for (const Slice& slice : bucket.slices) {
          EXPECT_EQ(slice.begin, at);
          at = slice.end;
        }
        EXPECT_EQ(at, bucket.end);
      }
      EXPECT_EQ(end, 0);
      int64_t sum = 0;
      for (int rank = 0; rank < 3; ++rank) {
        int64_t own = 0;
        for (const OwnedRange& range : plan.owned_by(rank)) own += range.count();
        EXPECT_NEAR(static_cast<double>(own), static_cast<double>(size) / 3, 3500) << rank;
        sum += own;
      }
      EXPECT_EQ(sum, size);
    }
  }
}

TEST(ShareOut, EveryPieceOnceAndLoadsAreEven) {
  Random random(1);
  std::vector<DataStream::Piece> pieces(100);
  size_t sum = 0;
  for (DataStream::Piece& piece : pieces) {
    piece.tokens.assign(static_cast<size_t>(random.between(2, 50)), 0);
    sum += piece.tokens.size() - 1;
  }
  const auto shares = share_out(pieces, 4);
  size_t count = 0;
  for (const auto& share : shares) {
    count += share.size();
    size_t load = 0;
    for (const DataStream::Piece& piece : share) load += piece.tokens.size() - 1;
    EXPECT_NEAR(static_cast<double>(load), static_cast<double>(sum) / 4, 49);
  }
  EXPECT_EQ(count, 100u);
}

TEST(Parameters, ReleasedElementsAreZeroAndTheirNeighboursStay) {
  Parameters parameters(DType::kF32);
  constexpr int64_t kCount = 64 * 1024;
  Parameter p{.rows = kCount / 64, .cols = 64};
  p.pieces.push_back({"w", 0, kCount / 64});
  parameters.add(p);
  parameters.allocate();
  float* values = parameters.flat_gradient().as<float>();
  std::fill(values, values + kCount, 1.0f);
  parameters.release_gradients(32, 50016);
  parameters.release_gradients(60000, 60064);
  for (int64_t i = 0; i < kCount; ++i) {
    const bool released = (i >= 32 && i < 50016) || (i >= 60000 && i < 60064);
    ASSERT_EQ(values[i], released ? 0.0f : 1.0f) << i;
  }
}

}  // namespace
}  // namespace hearth::train
