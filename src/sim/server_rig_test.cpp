#include "sim/server_rig.h"

#include <gtest/gtest.h>

namespace hearth::sim {
namespace {

constexpr Nanos kStepTarget = 50 * kMillisecond;

class Contracts : public testing::Test {
 protected:
  static TrialOptions trials() {
    const ServerSpec server{&find_accelerator("h100"), &find_model_shape("llama-3.1-8b"), 1};
    TrialOptions options = server_trials(calibrate_server(server, kStepTarget, 1), 0.02, 1);
    options.window = 90 * kSecond;
    options.warm_up = 60 * kSecond;
    return options;
  }
};

TEST_F(Contracts, ACalibratedServerIsForetold) {
  const ServerSpec server{&find_accelerator("mi300x"), &find_model_shape("qwen2.5-32b"), 2};
  const ServerRig rig = calibrate_server(server, kStepTarget, 1);
  EXPECT_LT(rig.calibration.held_out.mean, 0.10);
  EXPECT_GT(rig.capacity, 0);
}

TEST_F(Contracts, AreKeptToThePercent) {
  const MixTrial trial = run_mix(trials());
  EXPECT_LT(trial.time_per_token_spread, 0.03);
  EXPECT_LT(trial.delivered_error, 0.02);
}

TEST_F(Contracts, ADoubledOneDoublesAndMovesNobody) {
  const DoublingTrial trial = run_doubling(trials());
  EXPECT_NEAR(trial.doubled, 2, 0.05);
  EXPECT_LT(trial.others_moved, 0.03);
}

TEST_F(Contracts, StandANeighbourOfTenTimesTheLoad) {
  for (const auto neighbour :
       {engine::ServiceClass::kStandard, engine::ServiceClass::kProvisioned}) {
    EXPECT_LT(run_noisy(trials(), neighbour).p99_moved, 0.05);
  }
}

TEST_F(Contracts, DocumentsDoNotStopTheOthersWherePromptsAreCut) {
  const MixTrial cut = run_documents(trials(), Prompts::kCut);
  const MixTrial whole = run_documents(trials(), Prompts::kWhole);
  EXPECT_LT(cut.step_p99_ms, 1.1 * static_cast<double>(kStepTarget) / kMillisecond);
  EXPECT_GT(whole.step_p99_ms, 2 * cut.step_p99_ms);
}

}  // namespace
}  // namespace hearth::sim
