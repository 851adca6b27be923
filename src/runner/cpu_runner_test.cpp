// What a step gives, against logits that transformers computed and against the model itself.
#include "runner/cpu_runner.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <stdexcept>

#include "backend/cpu/cpu_backend.h"
#include "models/test_checkpoint.h"

namespace hearth::runner {
namespace {

using engine::Pooling;
using engine::StepPlan;
using engine::StepResult;
using engine::StepSequence;
using engine::Want;

class Throws final : public engine::TokenConstraint {
 public:
  void fill(std::span<uint32_t>) override { throw std::runtime_error("grammar is lost"); }
  bool accept(engine::TokenId) override { return true; }
  bool finished() const override { return false; }
};

class CpuRunnerTest : public testing::Test {
 protected:
  CpuRunnerTest() {
    params_.temperature = 0;
    std::iota(blocks_.begin(), blocks_.end(), 0);
  }

  StepSequence sequence(int32_t computed, int32_t count, Want want) {
    StepSequence s;
    s.fresh = computed == 0;
    s.tokens = tokens_;
    s.prompt_tokens = static_cast<int32_t>(tokens_.size());
    s.computed = computed;
    s.count = count;
    s.blocks = blocks_;
    s.sampling = &params_;
    s.want = want;
    return s;
  }
  StepResult run(std::vector<StepSequence> sequences, std::vector<engine::BlockCopy> copies = {}) {
    StepPlan plan;
    plan.sequences = std::move(sequences);
    plan.copies = std::move(copies);
    for (const StepSequence& s : plan.sequences) plan.tokens += s.count;
    return runner_.run(plan);
  }
  // log softmax of the golden logits at a position.
  float golden_logprob(int64_t position, engine::TokenId token) {
    const std::vector<float>& row = golden_.at(position);
    double sum = 0;
    for (float logit : row) sum += std::exp(static_cast<double>(logit));
    return static_cast<float>(row[static_cast<size_t>(token)] - std::log(sum));
  }

  models::TestCheckpoint checkpoint_ = models::test_checkpoint(HEARTH_SOURCE_DIR, "llama-gqa");
  io::MemoryFiles files_ = checkpoint_.files();
  std::unique_ptr<models::Model> model_ = models::load(files_, checkpoint_.options());
  backend::cpu::Backend backend_{{.threads = 2}};
  // Logits of three rows at a time, so that groups are crossed.
  CpuRunner runner_{*model_,
                    {.num_blocks = 16, .max_num_seqs = 4, .logits_bytes_max = 3 * 61 * 4},
                    backend_.context()};
  std::vector<int32_t> tokens_ = checkpoint_.tokens();
  std::map<int64_t, std::vector<float>> golden_ = checkpoint_.logits();
  std::vector<engine::BlockId> blocks_ = std::vector<engine::BlockId>(4);
  engine::SamplingParams params_;
};

TEST_F(CpuRunnerTest, ChoosesTheMostLikelyToken) {
  params_.logprobs = 3;
  const int32_t last = static_cast<int32_t>(tokens_.size()) - 1;
  const StepResult result = run({sequence(0, last + 1, Want::kToken)});
  const engine::SampledToken& token = result.sequences[0].sampled.at(0);
  const std::vector<float>& row = golden_.at(last);
  EXPECT_EQ(token.token, std::max_element(row.begin(), row.end()) - row.begin());
  EXPECT_NEAR(token.logprob, golden_logprob(last, token.token), 1e-5);
  EXPECT_EQ(token.rank, 1);
  EXPECT_EQ(token.top.size(), 3u);
}

TEST_F(CpuRunnerTest, ScoresPromptTokensAcrossChunks) {
  params_.prompt_logprobs = 0;
  const int32_t size = static_cast<int32_t>(tokens_.size());
  std::vector<engine::SampledToken> scores;
  for (int32_t computed = 0; computed < size; computed += 7) {
    const int32_t count = std::min(7, size - computed);
    const Want want = computed + count == size ? Want::kToken : Want::kNothing;
    const StepResult result = run({sequence(computed, count, want)});
    const auto& prompt = result.sequences[0].prompt;
    scores.insert(scores.end(), prompt.begin(), prompt.end());
    EXPECT_EQ(result.sequences[0].sampled.size(), want == Want::kToken ? 1u : 0u);
  }
  ASSERT_EQ(scores.size(), tokens_.size() - 1);
  for (const auto& [position, row] : golden_) {
    if (position + 1 == size) continue;
    const engine::SampledToken& score = scores[static_cast<size_t>(position)];
    EXPECT_EQ(score.token, tokens_[static_cast<size_t>(position) + 1]);
    EXPECT_NEAR(score.logprob, golden_logprob(position, score.token), 1e-5);
  }
}

TEST_F(CpuRunnerTest, PoolsHiddenStates) {
  const int32_t size = static_cast<int32_t>(tokens_.size());
  const auto pooled = [&](Pooling pooling, int32_t begin, int32_t end) {
    StepSequence s = sequence(begin, end - begin, end == size ? Want::kPooled : Want::kNothing);
    s.pooling = pooling;
    return run({s}).sequences[0].pooled;
  };
  // The mean of all is that of the parts; the last of one chunk is the last of two.
  const std::vector<float> last = pooled(Pooling::kLast, 0, size);
  const std::vector<float> mean = pooled(Pooling::kMean, 0, size);
  ASSERT_EQ(last.size(), 32u);
  EXPECT_TRUE(pooled(Pooling::kMean, 0, 10).empty());
  EXPECT_EQ(pooled(Pooling::kMean, 10, size), mean);
  pooled(Pooling::kLast, 0, 10);
  EXPECT_EQ(pooled(Pooling::kLast, 10, size), last);
  EXPECT_NE(mean, last);
  // The first row alone gives the same vector by every rule.
  tokens_.resize(1);
  const auto single = [&](Pooling pooling) {
    StepSequence s = sequence(0, 1, Want::kPooled);
    s.pooling = pooling;
    return run({s}).sequences[0].pooled;
  };
  EXPECT_EQ(single(Pooling::kFirst), single(Pooling::kLast));
  EXPECT_EQ(single(Pooling::kFirst), single(Pooling::kMean));
}

TEST_F(CpuRunnerTest, CopiesBlocksBeforeItComputes) {
  const int32_t size = static_cast<int32_t>(tokens_.size());
  params_.logprobs = 0;
  const StepResult straight = run({sequence(0, size, Want::kToken)});
  // The same text on other blocks, all but its last token copied.
  const std::vector<engine::BlockId> others = {9, 8, 7, 6};
  StepSequence s = sequence(size - 1, 1, Want::kToken);
  s.blocks = others;
  const StepResult copied = run({s}, {{0, 9}, {1, 8}, {2, 7}});
  EXPECT_EQ(copied.sequences[0].sampled[0].logprob, straight.sequences[0].sampled[0].logprob);
}

// Wherever it stops: the same step comes to the same afterwards.
TEST_F(CpuRunnerTest, AnIdleStepIsLetGoOfBetweenTwoOps) {
  params_.logprobs = 0;
  const int32_t size = static_cast<int32_t>(tokens_.size());
  StepPlan plan;
  plan.sequences = {sequence(0, size, Want::kToken)};
  plan.tokens = size;
  const float undisturbed = runner_.run(plan).sequences[0].sampled[0].logprob;
  int asked = 0;
  EXPECT_FALSE(runner_.run_idle(plan, [&] { return ++asked < 0; }).abandoned);
  ASSERT_GT(asked, 10);
  for (int after : {0, 1, asked / 2, asked - 1}) {
    const StepResult result = runner_.run_idle(plan, [&] { return after-- == 0; });
    EXPECT_TRUE(result.abandoned);
    EXPECT_TRUE(result.sequences.empty());
    EXPECT_EQ(runner_.run(plan).sequences[0].sampled.at(0).logprob, undisturbed);
  }
}

TEST_F(CpuRunnerTest, AConstraintThatThrowsEndsItsOwnSequenceOnly) {
  Throws constraint;
  const int32_t size = static_cast<int32_t>(tokens_.size());
  StepSequence bad = sequence(0, size, Want::kToken);
  bad.constraint = &constraint;
  StepSequence good = sequence(0, size, Want::kToken);
  good.slot = 1;
  const std::vector<engine::BlockId> others = {9, 8, 7, 6};
  good.blocks = others;
  const StepResult result = run({bad, good});
  EXPECT_EQ(result.sequences[0].error, "grammar is lost");
  EXPECT_TRUE(result.sequences[0].sampled.empty());
  EXPECT_EQ(result.sequences[1].sampled.size(), 1u);
}

TEST_F(CpuRunnerTest, KeysAndValuesTakeTheTypeOfTheModel) {
  EXPECT_EQ(kv_dtype({}, model_->info), DType::kF32);
  models::ModelInfo info = model_->info;
  info.dtype = DType::kF16;
  EXPECT_EQ(kv_dtype({}, info), DType::kBF16);
  EXPECT_EQ(kv_dtype({.kv_dtype = DType::kF16}, info), DType::kF16);
}

}  // namespace
}  // namespace hearth::runner
