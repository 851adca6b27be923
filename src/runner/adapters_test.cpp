// Adapters in the real engine and runner: base and adapter give what the merged weights give, for
// every family and every layout of its projections; DoRA and rank-stabilised scales too.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <map>

#include "adapters/peft.h"
#include "adapters/store.h"
#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "base/random.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "models/test_checkpoint.h"
#include "runner/adapter_test_support.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

using engine::TokenId;

// Log-probabilities of every prompt token, of the base or with one adapter.
std::vector<float> scores(const models::Model& model, adapters::AdapterStore* store,
                          engine::AdapterId adapter, const std::vector<TokenId>& tokens) {
  backend::cpu::Backend backend({.threads = 2});
  CpuRunner runner(model, {.num_blocks = 64, .kv_dtype = DType::kF32}, backend.context(), store);
  if (adapter != engine::kBaseModel) bring(*store, adapter);
  std::vector<engine::BlockId> blocks;
  for (engine::BlockId block = 0; block < 64; ++block) blocks.push_back(block);
  engine::SamplingParams params;
  params.temperature = 0;
  params.prompt_logprobs = 0;
  engine::StepPlan plan;
  engine::StepSequence& s = plan.sequences.emplace_back();
  s.fresh = true;
  s.tokens = tokens;
  s.prompt_tokens = static_cast<int32_t>(tokens.size());
  s.count = s.prompt_tokens;
  s.blocks = blocks;
  s.adapter = adapter;
  s.sampling = &params;
  plan.tokens = s.count;
  std::vector<float> scores;
  const engine::StepResult result = runner.run(plan);
  for (const auto& token : result.sequences[0].prompt) scores.push_back(token.logprob);
  return scores;
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  }
  return worst;
}

// The weights of one projection in a checkpoint's file, and which of its rows a module adds to.
struct Target {
  std::span<float> weights;
  int64_t first_row = 0;
  bool conv1d = false;  // stored as [in, out]
  int64_t outs = 0;     // of the whole projection
};

// W + scale · B·A, with DoRA's rescaled rows.
void merge(const Target& target, const adapters::AdapterModule& module) {
  const int64_t in = module.in();
  const auto at = [&](int64_t o, int64_t i) -> float& {
    const int64_t row = target.first_row + o;
    const int64_t index = target.conv1d ? i * target.outs + row : row * in + i;
    return target.weights[static_cast<size_t>(index)];
  };
  for (int64_t o = 0; o < module.out(); ++o) {
    double squares = 0;
    for (int64_t i = 0; i < in; ++i) {
      double sum = double{at(o, i)};
      for (int64_t k = 0; k < module.rank; ++k) {
        sum += double{module.scale} * double{module.b->row<float>(o)[k]} *
               double{module.a->row<float>(k)[i]};
      }
      at(o, i) = static_cast<float>(sum);
      squares += sum * sum;
    }
    if (module.magnitude->empty()) continue;
    const double gain = double{module.magnitude->as<float>()[o]} / std::sqrt(squares);
    for (int64_t i = 0; i < in; ++i) at(o, i) = static_cast<float>(double{at(o, i)} * gain);
  }
}

struct Case {
  const char* checkpoint;
  std::vector<const char*> modules;  // the ends of their names
  Dora dora = Dora::kNo;
};

const std::vector<const char*> kAll = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                       "gate_proj", "up_proj", "down_proj"};

class MergedAndServed : public testing::TestWithParam<Case> {};

// The checkpoint with the adapter merged into it, as a file.
std::string merged_weights(const io::TensorMap& tensors, const models::Model& model,
                           const adapters::Adapter& adapter) {
  std::map<std::string, std::vector<float>> merged;
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(tensor.dtype, "F32");
    merged[name].resize(tensor.data.size() / sizeof(float));
    std::memcpy(merged[name].data(), tensor.data.data(), tensor.data.size());
  }
  const bool conv1d = model.info.model_type == "gpt2";
  for (const adapters::AdapterModule& module : adapter.modules) {
    for (const nn::Projection& projection : model.projections) {
      const auto weights = std::span(merged.at(projection.name + ".weight"));
      if (module.name == projection.name) merge({weights, 0, conv1d, projection.out}, module);
      for (const nn::Projection::Part& part : projection.parts) {
        if (module.name == part.name) {
          merge({weights, part.begin, conv1d, projection.out}, module);
        }
      }
    }
  }
  std::vector<io::TensorToStore> to_store;
  for (const auto& [name, values] : merged) {
    to_store.push_back({name, "F32", tensors.at(name).shape, std::as_bytes(std::span(values))});
  }
  return io::build_safetensors(to_store);
}

TEST_P(MergedAndServed, AreTheSame) {
  const Case& c = GetParam();
  const models::TestCheckpoint checkpoint =
      models::test_checkpoint(HEARTH_SOURCE_DIR, c.checkpoint);
  io::MemoryFiles files = checkpoint.files();
  const auto model = models::load(files, checkpoint.options());
  Random random(7);
  const adapters::Adapter adapter = random_adapter(random, *model, {c.modules, 5, c.dora});
  ASSERT_FALSE(adapter.modules.empty());
  const ScratchFolder folder("adapters");
  adapters::save_adapter(folder.path(), adapter);
  adapters::AdapterStore store(model->projections, {.memory_bytes = 1 << 24});
  store.open(1, folder.path());

  const std::string weights = merged_weights(io::load_safetensors(files), *model, adapter);
  io::MemoryFiles merged_files("merged",
                               {{"config.json", files.bytes("config.json")},
                                {"model.safetensors", std::as_bytes(std::span(weights))}});
  const auto merged_model = models::load(merged_files, checkpoint.options());

  std::vector<TokenId> tokens = checkpoint.tokens();
  tokens.resize(std::min<size_t>(tokens.size(), 40));
  const auto base = scores(*model, nullptr, engine::kBaseModel, tokens);
  const auto expected = scores(*merged_model, nullptr, engine::kBaseModel, tokens);
  const auto served = scores(*model, &store, 1, tokens);
  EXPECT_LT(worst(served, expected), 2e-4);
  EXPECT_GT(worst(served, base), 0.05) << "the adapter changes nothing";
}

INSTANTIATE_TEST_SUITE_P(
    Families, MergedAndServed,
    testing::Values(Case{"llama-gqa", {"q_proj", "v_proj"}}, Case{"llama-gqa", kAll, Dora::kYes},
                    Case{"llama-biases-head-dim", kAll, Dora::kYes},
                    Case{"phi3-longrope-long", {"qkv_proj", "gate_up_proj", "o_proj", "down_proj"}},
                    Case{"phi3-longrope-long", {"q_proj", "v_proj", "up_proj"}},
                    Case{"phi3-longrope-long", {"k_proj", "gate_proj"}, Dora::kYes},
                    Case{"neox-serial-newer", {"query_key_value", "dense", "dense_4h_to_h"}},
                    Case{"neox-serial-newer", {"query_key_value", "dense_h_to_4h"}, Dora::kYes},
                    Case{"gpt2", {"c_attn", "c_proj", "c_fc"}},
                    Case{"gpt2", {"c_attn", "c_fc"}, Dora::kYes}, Case{"gemma3", kAll},
                    Case{"gemma3-nested", {"q_proj", "down_proj"}}),
    [](const auto& case_info) {
      std::string name = case_info.param.checkpoint;
      std::replace(name.begin(), name.end(), '-', '_');
      return name + "_" + std::to_string(case_info.index);
    });

// One prompt after another from its beginning, greedily.
class Greedy {
 public:
  Greedy(const models::Model& model, adapters::AdapterStore* store, engine::AdapterId adapter)
      : backend_({.threads = 2}),
        runner_(model, {.num_blocks = 64, .kv_dtype = DType::kF32}, backend_.context(), store),
        adapter_(adapter) {
    for (engine::BlockId block = 0; block < 64; ++block) blocks_.push_back(block);
    params_.temperature = 0;
    params_.logprobs = 20;
  }

  engine::SampledToken next(const std::vector<TokenId>& tokens) {
    engine::StepPlan plan;
    engine::StepSequence& s = plan.sequences.emplace_back();
    s.fresh = true;
    s.tokens = tokens;
    s.prompt_tokens = static_cast<int32_t>(tokens.size());
    s.count = s.prompt_tokens;
    s.blocks = blocks_;
    s.adapter = adapter_;
    s.sampling = &params_;
    s.want = engine::Want::kToken;
    plan.tokens = s.count;
    return runner_.run(plan).sequences[0].sampled.at(0);
  }

 private:
  backend::cpu::Backend backend_;
  CpuRunner runner_;
  const engine::AdapterId adapter_;
  std::vector<engine::BlockId> blocks_;
  engine::SamplingParams params_;
};

// A trained adapter on its base, unmerged, against what transformers and PEFT gave.
TEST(SharedAdapter, GivesTheTokensAndLogitsOfPeft) {
  const char* shared = std::getenv("HEARTH_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "HEARTH_SHARED is not set: no adapter to compare with";
  const std::string data = std::string(shared) + "/data/";
  io::Folder files(data + "stories15M-hf");
  const auto model = models::load(files, {.compute = ops::ComputeType::kF32});
  const std::string folder = data + "tiny/stories15M-lora-r8";
  adapters::AdapterStore store(model->projections, {.memory_bytes = 1 << 24});
  store.open(1, folder);
  bring(store, 1);
  Greedy greedy(*model, &store, 1);
  const io::Json golden = io::load_json(folder + "/golden.json");
  float worst = 0;
  for (const io::Json& c : golden["cases"]) {
    auto tokens = c["ids"].get<std::vector<TokenId>>();
    const auto expected = c["greedy_ids"].get<std::vector<TokenId>>();
    for (size_t i = 0; i < expected.size(); ++i) {
      const engine::SampledToken got = greedy.next(tokens);
      for (size_t t = 0; i == 0 && t < got.top.size(); ++t) {
        const auto it = c["last_logits_top"].find(std::to_string(got.top[t].token));
        if (it == c["last_logits_top"].end()) continue;
        const float want = it->get<float>() - c["last_logsumexp"].get<float>();
        worst = std::max(worst, std::abs(want - got.top[t].logprob));
      }
      ASSERT_EQ(got.token, expected[i]) << c["prompt"] << " step " << i;
      tokens.push_back(expected[i]);
    }
  }
  std::printf("largest difference of a log-probability %.2g\n", static_cast<double>(worst));
  EXPECT_GT(worst, 0) << "nothing was compared";
  EXPECT_LT(worst, 1e-4f);
}

// What real adapters for other bases are refused for.
TEST(SharedAdapter, OfAnotherBaseIsRefusedByTheNameOfATensor) {
  const char* shared = std::getenv("HEARTH_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "HEARTH_SHARED is not set: no adapters to refuse";
  const std::string data = std::string(shared) + "/data/";
  io::Folder files(data + "stories15M-hf");
  const auto model = models::load(files);
  adapters::AdapterStore store(model->projections, {.memory_bytes = 1 << 24});
  for (const char* name :
       {"qwen2.5-0.5b-instruct-r8-qv", "gemma3-270m-it-r8-qv", "gpt2-tigrinya-r8-cattn-cproj"}) {
    try {
      store.open(1, data + "lora/" + name);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << name << error.text;
      EXPECT_NE(error.text.find("another model"), std::string::npos) << error.text;
    }
  }
}

}  // namespace
}  // namespace hearth::runner
