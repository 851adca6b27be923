#include "flywheel/cost_fit.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "flywheel/cost_learner.h"

namespace hearth::flywheel {
namespace {

using engine::CostModel;

constexpr CostModel kTruth{.step_ps = 3'000'000'000,
                           .prompt_token_ps = 80'000'000,
                           .prompt_context_ps = 30'000,
                           .sequence_ps = 210'000'000,
                           .context_ps = 900'000,
                           .adapter_ps = 40'000'000,
                           .adapter_row_ps = 7'000'000};

std::vector<StepSample> steps_of(const CostModel& truth, uint64_t seed, int count, double noise) {
  Random random(seed);
  std::vector<StepSample> samples;
  for (int i = 0; i < count; ++i) {
    StepSample& sample = samples.emplace_back();
    auto& work = sample.work;
    work.prompt_tokens = random.chance(0.3) ? 0 : static_cast<int32_t>(random.below(600));
    work.prompt_context = work.prompt_tokens * random.between(0, 4000);
    work.generating = random.chance(0.2) ? 0 : static_cast<int32_t>(random.below(64));
    work.generating_context = work.generating * random.between(1, 3000);
    work.adapters = static_cast<int32_t>(random.below(5));
    work.adapter_rows = work.adapters * static_cast<int32_t>(random.below(30));
    const double factor = 1 + noise * random.normal();
    sample.duration = static_cast<Nanos>(static_cast<double>(truth.time(work)) * factor);
  }
  return samples;
}

TEST(CostFit, FindsTheCostsOfExactSteps) {
  const CostModel found = fit_costs(steps_of(kTruth, 1, 60, 0));
  EXPECT_NEAR(static_cast<double>(found.step_ps), 3e9, 3e5);
  EXPECT_NEAR(static_cast<double>(found.prompt_token_ps), 8e7, 8e3);
  EXPECT_NEAR(static_cast<double>(found.prompt_context_ps), 3e4, 3);
  EXPECT_NEAR(static_cast<double>(found.sequence_ps), 2.1e8, 3e4);
  EXPECT_NEAR(static_cast<double>(found.context_ps), 9e5, 90);
  EXPECT_NEAR(static_cast<double>(found.adapter_ps), 4e7, 4e4);
  EXPECT_NEAR(static_cast<double>(found.adapter_row_ps), 7e6, 7e3);
  EXPECT_LT(error_of(found, steps_of(kTruth, 2, 60, 0)).largest, 1e-4);
}

TEST(CostFit, NoiseMovesItLittle) {
  const CostModel found = fit_costs(steps_of(kTruth, 3, 200, 0.05));
  EXPECT_LT(error_of(found, steps_of(kTruth, 4, 200, 0)).mean, 0.02);
}

TEST(CostFit, NothingIsNegative) {
  CostModel cheap = kTruth;
  cheap.step_ps = cheap.adapter_ps = cheap.context_ps = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const CostModel found = fit_costs(steps_of(cheap, seed, 40, 0.2));
    for (const int64_t cost : {found.step_ps, found.prompt_context_ps, found.sequence_ps,
                               found.context_ps, found.adapter_ps, found.adapter_row_ps}) {
      EXPECT_GE(cost, 0) << "seed " << seed;
    }
  }
}

TEST(CostFit, WhatWasNotMeasuredCostsNothing) {
  auto samples = steps_of(kTruth, 5, 60, 0);
  for (StepSample& sample : samples) {
    sample.work.adapters = sample.work.adapter_rows = 0;
    sample.duration = kTruth.time(sample.work);
  }
  const CostModel found = fit_costs(samples);
  EXPECT_EQ(found.adapter_ps, 0);
  EXPECT_EQ(found.adapter_row_ps, 0);
  EXPECT_LT(error_of(found, samples).largest, 1e-4);
}

TEST(CostFit, SaysWhatIsMissing) {
  EXPECT_THROW(fit_costs(steps_of(kTruth, 6, 3, 0)), Error);
  auto silent = steps_of(kTruth, 7, 40, 0);
  for (StepSample& sample : silent) sample.work.prompt_tokens = 0;
  EXPECT_THROW(fit_costs(silent), Error);
}

TEST(CostLearner, LearnsFromStepsOfBothKinds) {
  CostLearner learner;
  std::optional<CostModel> found;
  for (const StepSample& sample : steps_of(kTruth, 8, 600, 0.02)) {
    if (const auto fit = learner.learn(sample.work, sample.duration)) found = fit;
  }
  ASSERT_TRUE(found);
  EXPECT_LT(error_of(*found, steps_of(kTruth, 9, 100, 0)).mean, 0.03);
  CostLearner deaf;
  for (const StepSample& sample : steps_of(kTruth, 10, 600, 0)) {
    auto work = sample.work;
    work.generating = 0;
    EXPECT_FALSE(deaf.learn(work, sample.duration));
  }
}

}  // namespace
}  // namespace hearth::flywheel
