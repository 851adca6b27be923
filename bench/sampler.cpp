// What does choosing a token cost? Microseconds a row for a vocabulary of 128k, on one thread.
//
//   ./dev bench sampler
#include "runner/sampler.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>

#include "base/random.h"

namespace {

using hearth::engine::SamplingParams;

constexpr size_t kVocabulary = 128256;
constexpr int kRuns = 30;

// Of this thread, so that other programs on the machine do not count.
double now_us() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

void measure(const char* name, const SamplingParams& params) {
  hearth::Random random(1);
  std::vector<float> logits(kVocabulary);
  for (float& logit : logits) logit = static_cast<float>(random.normal() * 3);
  std::vector<hearth::engine::TokenId> tokens(2000);
  for (auto& token : tokens) token = static_cast<int32_t>(random.below(kVocabulary));
  hearth::runner::TokenCounts counts;
  hearth::runner::SamplerScratch scratch;
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) {
    std::vector<float> row = logits;
    const double start = now_us();
    hearth::runner::sample({row, tokens, 1000, params}, counts, scratch);
    times.push_back(now_us() - start);
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"bench\":\"sampler\",\"case\":\"%s\",\"vocabulary\":%zu,\"median_us\":%.1f}\n",
              name, kVocabulary, times[kRuns / 2]);
}

}  // namespace

int main() {
  measure("greedy", {.temperature = 0});
  measure("greedy_logprobs_5", {.temperature = 0, .logprobs = 5});
  measure("temperature", {});
  measure("top_k_50", {.top_k = 50});
  measure("top_p_0.95", {.top_p = 0.95f});
  measure("top_k_50_top_p_0.95", {.top_k = 50, .top_p = 0.95f});
  measure("min_p_0.05", {.min_p = 0.05f});
  measure("typical_0.9", {.typical_p = 0.9f});
  measure("penalties", {.temperature = 0, .repetition_penalty = 1.1f, .frequency_penalty = 0.5f});
  measure("dry", {.temperature = 0, .dry_multiplier = 0.8f});
}
