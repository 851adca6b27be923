// Real checkpoints against what Hugging Face transformers gave for them. They are third-party and
// not in the repository: the test reads them from $HEARTH_SHARED/data and skips without it.
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "io/file_source.h"
#include "io/json.h"
#include "models/model.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

constexpr float kLogitTolerance = 2e-3f;  // the file has five decimals, and logits up to 20
constexpr float kCloseCall = 1e-3f;       // a margin under it may fall either way

class SharedGolden : public testing::TestWithParam<const char*> {};

// One sequence through the runner, alone.
class Alone {
 public:
  Alone(const models::Model& model, const ops::Context& context)
      : runner_(model, {.num_blocks = 64, .kv_dtype = DType::kF32}, context) {
    for (int32_t i = 0; i < 64; ++i) blocks_.push_back(63 - i);
    params_.temperature = 0;
  }

  engine::SampledToken next(const std::vector<engine::TokenId>& tokens, int32_t prompt_tokens,
                            int32_t logprobs) {
    params_.logprobs = logprobs;
    engine::StepPlan plan;
    engine::StepSequence& s = plan.sequences.emplace_back();
    s.fresh = computed_ == 0;
    s.tokens = tokens;
    s.prompt_tokens = prompt_tokens;
    s.computed = computed_;
    s.count = static_cast<int32_t>(tokens.size()) - computed_;
    s.blocks = blocks_;
    s.sampling = &params_;
    s.want = engine::Want::kToken;
    plan.tokens = s.count;
    computed_ += s.count;
    engine::StepResult result = runner_.run(plan);
    EXPECT_EQ(result.sequences[0].error, "");
    return result.sequences[0].sampled.at(0);
  }

 private:
  CpuRunner runner_;
  std::vector<engine::BlockId> blocks_;
  engine::SamplingParams params_;
  int32_t computed_ = 0;
};

TEST_P(SharedGolden, GreedyTokensAndLogitsAreThoseOfTransformers) {
  const char* shared = std::getenv("HEARTH_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "HEARTH_SHARED is not set: no checkpoints to compare with";
  io::Folder files(std::string(shared) + "/data/" + GetParam());
  const auto model = models::load(files, {.compute = ops::ComputeType::kF32});
  backend::cpu::Backend backend({.threads = 2});
  const io::Json golden = io::parse_json(files.text("golden.json"), files.where("golden.json"));
  for (const io::Json& c : golden["cases"]) {
    Alone alone(*model, backend.context());
    auto tokens = c["ids"].get<std::vector<engine::TokenId>>();
    const int32_t prompt = static_cast<int32_t>(tokens.size());
    const auto expected = c["greedy_ids"].get<std::vector<engine::TokenId>>();
    const auto margin = c["greedy_margin"].get<std::vector<float>>();
    float worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const engine::SampledToken got = alone.next(tokens, prompt, i == 0 ? 20 : -1);
      for (const engine::TokenLogprob& top : got.top) {
        const auto it = c["last_logits_top"].find(std::to_string(top.token));
        if (it == c["last_logits_top"].end()) continue;
        const float want = it->get<float>() - c["last_logsumexp"].get<float>();
        worst = std::max(worst, std::abs(want - top.logprob));
      }
      if (got.token != expected[i] && margin[i] < kCloseCall) break;
      ASSERT_EQ(got.token, expected[i]) << GetParam() << " step " << i << " margin " << margin[i];
      tokens.push_back(expected[i]);
    }
    EXPECT_LT(worst, kLogitTolerance) << GetParam();
    RecordProperty("max_logprob_difference", std::to_string(worst));
  }
}

INSTANTIATE_TEST_SUITE_P(Data, SharedGolden,
                         testing::Values("stories15M-hf", "stories260K-hf", "minimind2-small-hf",
                                         "tiny/tiny-gpt2", "tiny/tiny-gpt_neox",
                                         "tiny/tiny-mistral", "tiny/tiny-phi", "tiny/tiny-phi3",
                                         "tiny/tiny-qwen2"));

}  // namespace
}  // namespace hearth::runner
