// Text from a model in training, to see how it comes along.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/model.h"

namespace hearth::tokenizer {
class Tokenizer;
}

namespace hearth::train {

struct SampleOptions {
  int64_t tokens_max = 64;   // after the prompt
  double temperature = 0.8;  // 0: always the most likely token
  uint64_t seed = 1;         // the same seed and weights give the same text
};

// What the model writes after `prompt`, at least one token, up to `stop` (left out) or the end of
// its context. The whole text is computed again for each token: models in training are small, and
// nothing of the training step is touched.
std::vector<int32_t> sample_tokens(ops::TrainContext& ctx, Model& model,
                                   std::span<const int32_t> prompt, int32_t stop,
                                   const SampleOptions& options);
std::string sample_text(ops::TrainContext& ctx, Model& model, const tokenizer::Tokenizer& tokenizer,
                        const std::string& prompt, const SampleOptions& options);

}  // namespace hearth::train
