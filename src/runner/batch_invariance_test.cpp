// The promise that caches, preemption and replays stand on: a request's tokens and
// log-probabilities do not depend, bit for bit, on what else runs, how its prompt is cut, how many
// threads there are, what was found in the cache, or how often it was preempted; nor on whose
// adapters are in the batch, or how often its own was loaded and evicted.
//
// Random requests run alone through the real engine and runner, and then all together under random
// arrivals and limits.
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <memory>

#include "backend/cpu/cpu_backend.h"
#include "base/random.h"
#include "engine/scheduler.h"
#include "models/test_checkpoint.h"
#include "runner/adapter_test_support.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

using engine::Request;
using engine::SampledToken;
using engine::TokenId;

constexpr int32_t kMaxModelLen = 800;  // more than one span of attention

// Everything one choice was told.
struct Answer {
  std::vector<SampledToken> tokens;
  std::vector<SampledToken> prompt;
  std::vector<float> pooled;
  engine::FinishReason finish = engine::FinishReason::kNone;
  int32_t preemptions = 0;
  int32_t cached = 0;
};
using Answers = std::map<std::pair<engine::RequestId, int32_t>, Answer>;

// Lets through the tokens of one residue, so that it depends on nothing but the token.
class Residue final : public engine::TokenConstraint {
 public:
  explicit Residue(uint32_t residue) : residue_(residue) {}
  void fill(std::span<uint32_t> allowed) override {
    std::fill(allowed.begin(), allowed.end(), 0u);
    for (size_t t = residue_; t < allowed.size() * 32; t += kModulus) {
      allowed[t / 32] |= 1u << (t % 32);
    }
  }
  bool accept(TokenId token) override {
    return static_cast<uint32_t>(token) % kModulus == residue_;
  }
  bool finished() const override { return false; }

 private:
  static constexpr uint32_t kModulus = 3;
  uint32_t residue_;
};

class Workload {
 public:
  // Requests name the base or one of so many adapters.
  Workload(uint64_t seed, int32_t vocabulary, int32_t adapters)
      : random_(seed), vocabulary_(vocabulary), adapters_(adapters) {
    for (std::vector<TokenId>& prefix : prefixes_) prefix = text(random_.between(1, 600));
  }

  Request next(engine::RequestId id) {
    Request request;
    request.id = id;
    if (random_.chance(0.6)) request.prompt = prefixes_[random_.below(std::size(prefixes_))];
    const auto rest = text(random_.between(1, random_.chance(0.1) ? 150 : 30));
    request.prompt.insert(request.prompt.end(), rest.begin(), rest.end());
    request.max_tokens = static_cast<int32_t>(random_.between(1, 24));
    request.sampling = sampling();
    request.priority = static_cast<int32_t>(random_.below(3));
    if (adapters_ > 0 && random_.chance(0.8)) {
      request.adapter = static_cast<engine::AdapterId>(random_.between(1, adapters_));
    }
    if (random_.chance(0.1)) {
      constexpr engine::Pooling kPoolings[] = {engine::Pooling::kLast, engine::Pooling::kFirst,
                                               engine::Pooling::kMean};
      request.pooling = kPoolings[random_.below(3)];
      request.sampling = {};
      request.max_tokens = 0;
      return request;
    }
    if (random_.chance(0.3)) request.stop_tokens = {token()};
    if (random_.chance(0.2)) request.min_tokens = request.max_tokens / 2;
    if (random_.chance(0.15)) request.choices = static_cast<int32_t>(random_.between(2, 3));
    if (random_.chance(0.15)) {
      for (int32_t i = 0; i < request.choices; ++i) {
        request.constraints.push_back(
            std::make_shared<Residue>(static_cast<uint32_t>(random_.below(3))));
      }
    }
    return request;
  }

 private:
  TokenId token() {
    return static_cast<TokenId>(random_.below(static_cast<uint64_t>(vocabulary_)));
  }
  std::vector<TokenId> text(int64_t length) {
    std::vector<TokenId> tokens(static_cast<size_t>(length));
    for (TokenId& t : tokens) t = token();
    return tokens;
  }
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(random_.uniform());
  }

  engine::SamplingParams sampling() {
    engine::SamplingParams p;
    p.seed = random_.next();
    p.temperature = random_.chance(0.3) ? 0.0f : between(0.3f, 1.8f);
    if (random_.chance(0.3)) p.top_k = static_cast<int32_t>(random_.between(1, 40));
    if (random_.chance(0.3)) p.top_p = between(0.3f, 1.0f);
    if (random_.chance(0.2)) p.min_p = between(0.0f, 0.3f);
    if (random_.chance(0.1)) p.typical_p = between(0.3f, 1.0f);
    if (random_.chance(0.2)) p.repetition_penalty = between(0.8f, 1.5f);
    if (random_.chance(0.2)) p.presence_penalty = between(-1.0f, 1.0f);
    if (random_.chance(0.2)) p.frequency_penalty = between(-1.0f, 1.0f);
    if (random_.chance(0.1)) p.dry_multiplier = between(0.5f, 1.0f);
    if (random_.chance(0.2)) p.logit_bias = {{token(), between(-5.0f, 5.0f)}};
    if (random_.chance(0.5)) p.logprobs = static_cast<int32_t>(random_.below(5));
    if (random_.chance(0.15)) p.prompt_logprobs = static_cast<int32_t>(random_.below(3));
    return p;
  }

  Random random_;
  int32_t vocabulary_;
  int32_t adapters_;
  std::vector<TokenId> prefixes_[5];
};

// Adapters of many shapes in folders.
class AdapterFolders {
 public:
  AdapterFolders(uint64_t seed, const models::Model& model, int32_t count) : scratch_("batch") {
    Random random(seed);
    const AdapterShape shapes[] = {
        {{"q_proj", "v_proj"}, 8},
        {{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}, 3},
        {{"o_proj", "down_proj"}, 64, Dora::kYes},
        {{"up_proj"}, 1}};
    for (int32_t i = 0; i < count; ++i) {
      folders_.push_back(scratch_.folder(std::to_string(i + 1)));
      adapters::save_adapter(folders_.back(),
                             random_adapter(random, model, shapes[random.below(std::size(shapes))]),
                             random.chance(0.5) ? DType::kF32 : DType::kBF16);
    }
  }

  int32_t count() const { return static_cast<int32_t>(folders_.size()); }
  const std::string& of(engine::AdapterId adapter) const {
    return folders_.at(static_cast<size_t>(adapter) - 1);
  }

 private:
  ScratchFolder scratch_;
  std::vector<std::string> folders_;
};

// Pages that the largest of the adapters takes, and all of them.
struct PageNeeds {
  int32_t largest = 0;
  int32_t all = 0;
};

PageNeeds needs_of(const models::Model& model, const AdapterFolders& folders) {
  adapters::AdapterStore store(model.projections, {.memory_bytes = 1 << 28});
  PageNeeds needs;
  for (engine::AdapterId id = 1; id <= folders.count(); ++id) {
    const int32_t pages = store.open(id, folders.of(id)).pages;
    needs.largest = std::max(needs.largest, pages);
    needs.all += pages;
  }
  return needs;
}

// An engine and its runner until all requests have ended. `arrivals[i]` is the step before which
// request i comes.
class Session {
 public:
  Session(const models::Model& model, const AdapterFolders& folders,
          const engine::EngineConfig& config, int threads, std::optional<DType> kv_dtype)
      : folders_(folders),
        backend_({.threads = threads}),
        scheduler_(config),
        store_(model.projections, {.memory_bytes = config.adapter_pages *
                                                   adapters::page_bytes_for(model.projections)}),
        runner_(model,
                {.num_blocks = config.num_blocks,
                 .max_num_seqs = config.max_num_seqs,
                 .max_num_batched_tokens = config.max_num_batched_tokens,
                 .kv_dtype = kv_dtype,
                 .logits_bytes_max = 1 << 11},
                backend_.context(), &store_) {
    store_.tell([this](int32_t id, const std::string& error) {
      ASSERT_EQ(error, "");
      loaded_.push_back(id);
    });
  }

  void run(std::span<const Request> requests, std::span<const int64_t> arrivals, Answers& answers) {
    for (const Request& request : requests) {
      const engine::AdapterId id = request.adapter;
      if (id == engine::kBaseModel || scheduler_.adapters().open(id)) continue;
      scheduler_.add_adapter(id, store_.open(id, folders_.of(id)).pages);
    }
    size_t added = 0;
    for (int64_t step = 0; added < requests.size() || scheduler_.busy(); ++step) {
      for (; added < requests.size() && arrivals[added] <= step; ++added) {
        const engine::Admission admission = scheduler_.add(requests[added], step);
        ASSERT_TRUE(admission.accepted()) << admission.reason;
      }
      if (!scheduler_.busy()) continue;
      const engine::StepPlan& plan = scheduler_.plan(step);
      // Loads may take several steps; whoever has nothing else to do waits for them.
      if (plan.empty() || step % 3 == 0) finish_loads();
      if (plan.empty()) continue;
      const engine::StepResult result = runner_.run(plan);
      for (const engine::Output& output : scheduler_.commit(result, step)) take(output, answers);
    }
  }

 private:
  void finish_loads() {
    store_.wait();
    for (int32_t id : loaded_) scheduler_.adapter_loaded(id);
    loaded_.clear();
  }

  static void take(const engine::Output& output, Answers& answers) {
    Answer& answer = answers[{output.request, output.choice}];
    answer.tokens.insert(answer.tokens.end(), output.tokens.begin(), output.tokens.end());
    answer.prompt.insert(answer.prompt.end(), output.prompt.begin(), output.prompt.end());
    answer.pooled.insert(answer.pooled.end(), output.pooled.begin(), output.pooled.end());
    answer.finish = output.finish;
    answer.preemptions = output.timing.preemptions;
    answer.cached = output.usage.cached_tokens;
    ASSERT_EQ(output.error, "");
  }

  const AdapterFolders& folders_;
  backend::cpu::Backend backend_;
  engine::Scheduler scheduler_;
  std::vector<int32_t> loaded_;  // read only while no load is on its way
  adapters::AdapterStore store_;
  CpuRunner runner_;

 public:
  uint64_t adapters_evicted() const { return scheduler_.stats().adapters.evicted_for_room; }
};

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

bool same(const SampledToken& a, const SampledToken& b) {
  return a.token == b.token && same_bits(a.logprob, b.logprob) && a.rank == b.rank &&
         std::equal(a.top.begin(), a.top.end(), b.top.begin(), b.top.end(),
                    [](const auto& x, const auto& y) {
                      return x.token == y.token && same_bits(x.logprob, y.logprob);
                    });
}

void expect_same(const Answer& alone, const Answer& together) {
  EXPECT_TRUE(std::equal(alone.tokens.begin(), alone.tokens.end(), together.tokens.begin(),
                         together.tokens.end(), same));
  EXPECT_TRUE(std::equal(alone.prompt.begin(), alone.prompt.end(), together.prompt.begin(),
                         together.prompt.end(), same));
  EXPECT_TRUE(std::equal(alone.pooled.begin(), alone.pooled.end(), together.pooled.begin(),
                         together.pooled.end(), same_bits));
  EXPECT_EQ(alone.finish, together.finish);
}

engine::EngineConfig roomy(const PageNeeds& needs) {
  engine::EngineConfig config;
  config.adapter_pages = needs.all;
  config.num_blocks = 128;
  config.max_model_len = kMaxModelLen;
  config.max_num_seqs = 4;
  config.max_num_batched_tokens = 512;
  config.prefix_caching = false;
  return config;
}

// Limits so tight that prompts are cut anywhere and memory runs out.
engine::EngineConfig cramped(Random& random, const PageNeeds& needs) {
  engine::EngineConfig config;
  config.adapter_pages =
      static_cast<int32_t>(random.between(needs.largest, (needs.largest + needs.all) / 2));
  config.max_overtaken = static_cast<int32_t>(random.between(0, 8));
  config.num_blocks = static_cast<int32_t>(random.between(kMaxModelLen / 16 + 1, 120));
  config.max_model_len = kMaxModelLen;
  config.max_num_seqs = static_cast<int32_t>(random.between(2, 24));
  config.max_num_batched_tokens =
      config.max_num_seqs + static_cast<int32_t>(random.between(0, 120));
  config.long_prefill_token_threshold =
      static_cast<int32_t>(random.between(1, config.max_num_batched_tokens));
  config.max_queued_requests = 100'000;
  config.watermark_permille = 0;
  config.max_guessed_tokens = static_cast<int32_t>(random.below(6));
  config.max_speculative_rows = 64;
  return config;
}

struct Tally {
  int64_t answers = 0;
  int64_t preemptions = 0;
  int64_t cached_tokens = 0;
  uint64_t adapters_evicted = 0;
};

struct Extent {
  size_t requests = 0;
  int rounds = 0;
  int32_t adapters = 0;
  std::optional<DType> kv_dtype = std::nullopt;
};

void compare(const models::Model& model, const Extent& extent, uint64_t seed, Tally& tally) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  const AdapterFolders folders(random.next(), model, extent.adapters);
  const PageNeeds needs = needs_of(model, folders);
  Workload workload(random.next(), static_cast<int32_t>(model.info.vocabulary), extent.adapters);
  std::vector<Request> requests;
  for (size_t i = 0; i < extent.requests; ++i) requests.push_back(workload.next(i + 1));
  Answers alone;
  for (const Request& request : requests) {
    Session session(model, folders, roomy(needs), 1, extent.kv_dtype);
    const int64_t now = 0;
    session.run({&request, 1}, {&now, 1}, alone);
  }
  for (int round = 0; round < extent.rounds; ++round) {
    Session session(model, folders, cramped(random, needs), static_cast<int>(random.between(1, 4)),
                    extent.kv_dtype);
    std::vector<int64_t> arrivals(extent.requests);
    int64_t at = 0;
    for (int64_t& arrival : arrivals) arrival = at += random.chance(0.7) ? 0 : random.between(1, 4);
    Answers together;
    session.run(requests, arrivals, together);
    ASSERT_EQ(alone.size(), together.size());
    tally.adapters_evicted += session.adapters_evicted();
    for (const auto& [key, answer] : alone) {
      SCOPED_TRACE("request " + std::to_string(key.first) + " round " + std::to_string(round));
      expect_same(answer, together[key]);
      tally.answers += 1;
      tally.preemptions += together[key].preemptions;
      tally.cached_tokens += together[key].cached;
      if (testing::Test::HasFailure()) return;
    }
  }
}

void compare_models(std::span<const char* const> names, const Extent& extent,
                    const models::LoadOptions& options = {}) {
  Tally tally;
  uint64_t seed = 1;
  for (const char* name : names) {
    SCOPED_TRACE(name);
    const models::TestCheckpoint checkpoint = models::test_checkpoint(HEARTH_SOURCE_DIR, name);
    io::MemoryFiles files = checkpoint.files();
    const auto model = models::load(files, options);
    compare(*model, extent, seed++, tally);
    if (testing::Test::HasFailure()) return;
  }
  std::printf("%ld answers, %ld preemptions, %ld cached tokens: all equal bit for bit\n",
              static_cast<long>(tally.answers), static_cast<long>(tally.preemptions),
              static_cast<long>(tally.cached_tokens));
  // Without these the comparison would say little.
  EXPECT_GT(tally.preemptions, 0);
  EXPECT_GT(tally.cached_tokens, 0);
  if (extent.adapters > 0) {
    EXPECT_GT(tally.adapters_evicted, 0u);
  }
}

constexpr const char* kModels[] = {"llama-long-text", "mistral-long-text", "gemma2-long-text"};

TEST(BatchInvariance, AloneAndTogetherAreTheSameBitForBit) { compare_models(kModels, {100, 2}); }

TEST(BatchInvariance, AlsoWithAdapters) { compare_models({kModels, 2}, {100, 2, 9}); }

TEST(BatchInvariance, AlsoWithQuantisedWeights) {
  compare_models({kModels, 1}, {60, 2, 9}, {.quantize = models::Quantize::kQ8});
  compare_models({kModels, 1}, {60, 1}, {.quantize = models::Quantize::kQ4});
}

TEST(BatchInvariance, AlsoWithACacheOfEightBits) {
  compare_models({kModels, 2}, {60, 2, 9, DType::kI8});
}

TEST(BatchInvarianceSlow, HundredsOfRequestsUnderManyLimits) {
  compare_models(kModels, {400, 12, 20});
}

}  // namespace
}  // namespace hearth::runner
