#include "train/sample.h"

#include <algorithm>
#include <cmath>

#include "io/json.h"
#include "tokenizer/tokenizer.h"

namespace hearth::train {
namespace {

// logits [vocab]; uniform in [0, 1).
int32_t choose(std::span<const float> logits, double temperature, double uniform) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0) return static_cast<int32_t>(likeliest - logits.begin());
  std::vector<double> sums;  // of the weights up to each token
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp((double{logit} - double{*likeliest}) / temperature);
    sums.push_back(sum);
  }
  const auto at = std::upper_bound(sums.begin(), sums.end(), uniform * sum);
  return static_cast<int32_t>(std::min(at, sums.end() - 1) - sums.begin());
}

}  // namespace

std::vector<int32_t> sample_tokens(ops::TrainContext& ctx, Model& model,
                                   std::span<const int32_t> prompt, int32_t stop,
                                   const SampleOptions& options) {
  std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  std::vector<float> logits(model.config()["vocab_size"].get<size_t>());
  const size_t end = std::min(prompt.size() + static_cast<size_t>(options.tokens_max),
                              static_cast<size_t>(model.context_max()));
  while (tokens.size() < end) {
    model.next_logits(ctx, tokens, logits);
    const double uniform = philox_uniform(options.seed, tokens.size());
    const int32_t next = choose(logits, options.temperature, uniform);
    if (next == stop) break;
    tokens.push_back(next);
  }
  return {tokens.begin() + static_cast<int64_t>(prompt.size()), tokens.end()};
}

std::string sample_text(ops::TrainContext& ctx, Model& model, const tokenizer::Tokenizer& tokenizer,
                        const std::string& prompt, const SampleOptions& options) {
  std::vector<int32_t> ids = tokenizer.encode(prompt, tokenizer::AddSpecial::kNo);
  if (ids.empty()) ids.push_back(std::max(0, tokenizer.eos_id()));  // what documents end with
  const std::vector<int32_t> written = sample_tokens(ctx, model, ids, tokenizer.eos_id(), options);
  return tokenizer.decode(written);
}

}  // namespace hearth::train
