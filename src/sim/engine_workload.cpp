#include "sim/engine_workload.h"

#include <algorithm>

#include "sim/draw.h"

namespace hearth::sim {
namespace {

using engine::EngineConfig;
using engine::TokenId;

EngineConfig make_config(Random& random) {
  EngineConfig config;
  config.num_blocks = draw(random, 2, random.chance(0.5) ? 10 : 40);
  config.max_model_len = draw(random, 24, 160);
  config.max_num_seqs = draw(random, 1, 10);
  config.max_num_batched_tokens = config.max_num_seqs + draw(random, 0, 80);
  config.max_num_partial_prefills = draw(random, 1, 4);
  config.max_long_partial_prefills = draw(random, 1, config.max_num_partial_prefills);
  config.long_prefill_token_threshold = draw(random, 4, 64);
  config.max_queued_requests = draw(random, 2, 40);
  config.max_queued_tokens = draw(random, 60, 4000);
  config.max_overtaken = draw(random, 0, 6);
  config.watermark_permille = draw(random, 0, 100);
  config.priority_aging = random.chance(0.3) ? 0 : draw(random, 1, 200) * kMillisecond;
  config.prefix_caching = random.chance(0.85);
  config.prefix_hash_key = random.next();
  config.step_time_target = random.chance(0.5) ? draw(random, 1, 20) * kMillisecond : 0;
  config.step_stretch_permille = random.chance(0.5) ? draw(random, 1001, 4000) : 0;
  config.max_guessed_tokens = random.chance(0.5) ? draw(random, 1, 6) : 0;
  config.max_speculative_rows = draw(random, 0, 24);
  return config;
}

// Where the machine was measured, it may be anything: steps then take what `cost` says, not this.
engine::CostModel make_costs(Random& random) {
  if (random.chance(0.6)) return {};
  const auto ps = [&](int64_t most) { return random.between(0, most) * 1'000'000; };
  return {.step_ps = ps(2000),
          .prompt_token_ps = 1 + ps(200),
          .prompt_context_ps = ps(2),
          .sequence_ps = ps(1000),
          .context_ps = ps(10),
          .adapter_ps = ps(500),
          .adapter_row_ps = ps(50)};
}

// In a part of the histories; often more than fit into memory together.
std::vector<SimAdapter> make_adapters(Random& random, EngineConfig& config) {
  std::vector<SimAdapter> adapters;
  if (random.chance(0.4)) return adapters;
  config.adapter_pages = draw(random, 1, 8);
  config.max_loras = random.chance(0.3) ? draw(random, 1, 3) : 0;
  const int32_t count = draw(random, 1, 6);
  for (int32_t i = 0; i < count; ++i) {
    SimAdapter& adapter = adapters.emplace_back();
    adapter.id = i + 1;
    adapter.pages = draw(random, 1, config.adapter_pages);
    adapter.load_time = draw(random, 0, 30) * kMillisecond;
    if (random.chance(0.2)) adapter.failure_rate = 0.3;
    if (random.chance(0.2)) adapter.removed = draw(random, 0, 300) * kMillisecond;
  }
  return adapters;
}

std::vector<TokenId> make_text(Random& random, int32_t length) {
  std::vector<TokenId> text(static_cast<size_t>(length));
  for (TokenId& token : text) token = draw(random, 0, kFakeVocabulary - 1);
  return text;
}

// Documents whose beginnings many prompts share, as system prompts and conversations do.
std::vector<TokenId> make_prompt(Random& random, const std::vector<std::vector<TokenId>>& documents,
                                 int32_t longest) {
  std::vector<TokenId> prompt;
  if (random.chance(0.7)) {
    const auto& document = documents[random.below(documents.size())];
    const size_t kept = random.chance(0.4) ? document.size() : random.below(document.size() + 1);
    prompt.assign(document.begin(), document.begin() + static_cast<std::ptrdiff_t>(kept));
  }
  const bool whole = !prompt.empty() && random.chance(0.2);
  if (!whole) {
    const auto rest = make_text(random, draw(random, 1, random.chance(0.3) ? longest : 20));
    prompt.insert(prompt.end(), rest.begin(), rest.end());
  }
  if (random.chance(0.97)) prompt.resize(std::min(prompt.size(), static_cast<size_t>(longest)));
  return prompt;
}

void choose_sampling(Random& random, SimRequest& sim, int32_t longest) {
  engine::Request& request = sim.request;
  const int32_t room = longest - static_cast<int32_t>(request.prompt.size());
  const int32_t most = random.chance(0.95) ? std::clamp(room, 0, 60) : 60;
  request.max_tokens = random.chance(0.15) ? engine::kAsManyAsFit : draw(random, 0, most);
  if (random.chance(0.3) && request.max_tokens > 0) {
    request.min_tokens = draw(random, 0, request.max_tokens);
  }
  const int32_t stops = random.chance(0.6) ? draw(random, 1, 3) : 0;
  for (int32_t i = 0; i < stops; ++i) request.stop_tokens.push_back(i * 7);
  if (random.chance(0.25)) request.choices = draw(random, 2, 4);
  request.sampling.seed = random.next();
  if (random.chance(0.15)) request.sampling.prompt_logprobs = 0;
  if (random.chance(0.15)) sim.constraint_length = draw(random, 1, 20);
  if (random.chance(0.2)) sim.fake.jumps = draw(random, 1, 4);
  if (random.chance(0.05)) sim.fake.fails_at = draw(random, 0, 12);
  if (random.chance(0.15)) sim.stop_string_after = draw(random, 1, 12);
  if (request.choices == 1 && random.chance(0.1)) {
    request.pooling = static_cast<engine::Pooling>(draw(random, 1, 3));
    sim.constraint_length = 0;
  }
}

}  // namespace

Workload make_workload(Random& random) {
  Workload workload;
  workload.config = make_config(random);
  workload.config.costs = make_costs(random);
  const bool classes = random.chance(0.5);
  for (int32_t i = classes ? draw(random, 0, 3) : 0; i > 0; --i) {
    workload.deployments.push_back(random.between(1, 1'000'000'000));
  }
  workload.adapters = make_adapters(random, workload.config);
  const int32_t longest = std::min(workload.config.max_model_len - 1,
                                   workload.config.num_blocks * engine::kBlockTokens);
  std::vector<std::vector<TokenId>> documents;
  for (int32_t i = draw(random, 1, 3); i > 0; --i) {
    documents.push_back(make_text(random, draw(random, 1, 100)));
  }
  const int32_t count = draw(random, 1, 24);
  const double mean_gap = random.uniform() * 20 * kMillisecond;
  Nanos now = draw(random, 0, 1000);
  for (int32_t i = 0; i < count; ++i) {
    SimRequest& sim = workload.requests.emplace_back();
    sim.request.id = static_cast<engine::RequestId>(i) + 1;
    sim.request.prompt = make_prompt(random, documents, longest);
    sim.request.priority = random.chance(0.3) ? draw(random, -2, 2) : 0;
    sim.request.cache_salt = random.below(3);
    if (!workload.adapters.empty() && random.chance(0.7)) {
      const SimAdapter& adapter = workload.adapters[random.below(workload.adapters.size())];
      sim.request.adapter = adapter.id;
      sim.fake.adapter_pages = adapter.pages;
    }
    if (classes) {
      sim.request.service_class = static_cast<engine::ServiceClass>(random.below(3));
      sim.request.deployment = static_cast<engine::DeploymentId>(random.below(5));
    }
    sim.fake.salt = sim.request.cache_salt;
    choose_sampling(random, sim, longest);
    if (!random.chance(0.3)) now += static_cast<Nanos>(random.exponential() * mean_gap);
    sim.arrival = now;
    if (random.chance(0.12)) sim.leaves = now + draw(random, 0, 200) * kMillisecond;
  }
  return workload;
}

std::shared_ptr<engine::TokenConstraint> make_constraint(const SimRequest& request,
                                                         int32_t choice) {
  if (request.constraint_length == 0) return nullptr;
  return std::make_shared<FakeConstraint>(request.request.id + static_cast<uint64_t>(choice),
                                          request.constraint_length);
}

}  // namespace hearth::sim
