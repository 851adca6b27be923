// Losses against logits that transformers computed, and against themselves however they are asked.
#include "runner/score.h"

#include <cmath>
#include <gtest/gtest.h>

#include "backend/cpu/cpu_backend.h"
#include "models/test_checkpoint.h"

namespace hearth::runner {
namespace {

class TextScorerTest : public testing::Test {
 protected:
  std::vector<float> losses(std::optional<DType> kv_dtype, int threads,
                            const std::vector<int32_t>& tokens) {
    backend::cpu::Backend backend({.threads = threads});
    return TextScorer(*model_, backend.context(), kv_dtype, std::ssize(tokens)).losses(tokens);
  }

  models::TestCheckpoint checkpoint_ = models::test_checkpoint(HEARTH_SOURCE_DIR, "llama-gqa");
  io::MemoryFiles files_ = checkpoint_.files();
  std::unique_ptr<models::Model> model_ = models::load(files_, checkpoint_.options());
};

TEST_F(TextScorerTest, AreThoseOfTheGoldenLogits) {
  const std::vector<int32_t> tokens = checkpoint_.tokens();
  const std::vector<float> got = losses(DType::kF32, 1, tokens);
  ASSERT_EQ(got.size(), tokens.size() - 1);
  int compared = 0;
  for (const auto& [position, logits] : checkpoint_.logits()) {
    const auto at = static_cast<size_t>(position);
    if (at + 1 >= tokens.size()) continue;
    double sum = 0;
    for (float logit : logits) sum += std::exp(double{logit});
    EXPECT_NEAR(got[at], std::log(sum) - double{logits[static_cast<size_t>(tokens[at + 1])]}, 1e-4);
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

TEST_F(TextScorerTest, NoTokenDependsOnLaterOnesOrOnThreads) {
  std::vector<int32_t> tokens;
  while (tokens.size() < 700) {
    const std::vector<int32_t> more = checkpoint_.tokens();
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  tokens.resize(static_cast<size_t>(std::min<int64_t>(700, model_->info.max_model_len)));
  for (const DType dtype : {DType::kF32, DType::kI8}) {
    const std::vector<float> all = losses(dtype, 1, tokens);
    EXPECT_EQ(losses(dtype, 3, tokens), all);
    const std::vector<int32_t> part(tokens.begin(), tokens.begin() + 33);
    const std::vector<float> few = losses(dtype, 1, part);
    EXPECT_EQ(few, std::vector<float>(all.begin(), all.begin() + 32));
  }
}

// Two tokens of a vocabulary are about as likely whatever the cache is stored in.
TEST_F(TextScorerTest, EightBitCachesAreClose) {
  const std::vector<int32_t> tokens = checkpoint_.tokens();
  const std::vector<float> exact = losses(DType::kF32, 1, tokens);
  const std::vector<float> rounded = losses(DType::kI8, 1, tokens);
  double difference = 0;
  for (size_t i = 0; i < exact.size(); ++i) difference += std::abs(exact[i] - rounded[i]);
  EXPECT_LT(difference / static_cast<double>(exact.size()), 0.02);
  EXPECT_GT(difference, 0.0);
}

}  // namespace
}  // namespace hearth::runner
