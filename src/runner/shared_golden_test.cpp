// Real checkpoints against what Hugging Face transformers gave for them. They are third-party and
// not in the repository: the test reads them from $HEARTH_SHARED/data and skips without it.
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <optional>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "io/file_source.h"
#include "io/json.h"
#include "models/model.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

class SharedGolden : public testing::TestWithParam<const char*> {};

// One sequence through the runner, alone.
class Alone {
 public:
  Alone(const models::Model& model, std::optional<DType> kv, const ops::Context& context)
      : runner_(model, {.num_blocks = 64, .kv_dtype = kv}, context) {
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

// What a setting of types may differ by.
struct Tolerance {
  ops::ComputeType compute = ops::ComputeType::kF32;
  std::optional<DType> kv;
  float logprob = 0;
  float close_call = 0;  // a margin under it may fall either way
};

void compare(const char* name, const Tolerance& tolerance) {
  const char* shared = std::getenv("HEARTH_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "HEARTH_SHARED is not set: no checkpoints to compare with";
  io::Folder files(std::string(shared) + "/data/" + name);
  const auto model = models::load(files, {.compute = tolerance.compute});
  backend::cpu::Backend backend({.threads = 2});
  const io::Json golden = io::parse_json(files.text("golden.json"), files.where("golden.json"));
  for (const io::Json& c : golden["cases"]) {
    Alone alone(*model, tolerance.kv, backend.context());
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
      if (got.token != expected[i] && margin[i] < tolerance.close_call) break;
      ASSERT_EQ(got.token, expected[i]) << name << " step " << i << " margin " << margin[i];
      tokens.push_back(expected[i]);
    }
    std::printf("%s: largest difference of a log-probability %.2g\n", name,
                static_cast<double>(worst));
    EXPECT_LT(worst, tolerance.logprob) << name;
  }
}

TEST_P(SharedGolden, InF32TokensAndLogitsAreThoseOfTransformers) {
  compare(GetParam(), {ops::ComputeType::kF32, DType::kF32, 1e-4f, 1e-3f});
}

// bf16 products and a bf16 cache round at eight bits.
TEST_P(SharedGolden, InTheDefaultTypesTokensAndLogitsStayNear) {
  compare(GetParam(), {ops::ComputeType::kAuto, std::nullopt, 0.15f, 0.3f});
}

INSTANTIATE_TEST_SUITE_P(Data, SharedGolden,
                         testing::Values("stories15M-hf", "stories260K-hf", "minimind2-small-hf",
                                         "tiny/tiny-gpt2", "tiny/tiny-gpt_neox",
                                         "tiny/tiny-mistral", "tiny/tiny-phi", "tiny/tiny-phi3",
                                         "tiny/tiny-qwen2"));

}  // namespace
}  // namespace hearth::runner
