// What does quantising cost in quality? Perplexity of a model on a text, for each kind of weights.
//
//   ./dev bench perplexity MODEL_FOLDER TEXT_FILE [TOKENS_MAX]
//
// The text is cut into windows of the model's length that start afresh, each behind a BOS where the
// tokenizer has one; every token but the first of a window is scored, through the engine and the
// runner's prompt log-probabilities. One JSON line for each of f32 arithmetic, q8 and q4.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/error.h"
#include "engine/scheduler.h"
#include "io/file.h"
#include "io/file_source.h"
#include "models/model.h"
#include "runner/cpu_runner.h"
#include "tokenizer/tokenizer.h"

namespace hearth {
namespace {

constexpr int32_t kWindowMax = 512;

using Tokens = std::vector<engine::TokenId>;

std::vector<Tokens> windows(const tokenizer::Tokenizer& tokenizer, const std::string& text,
                            size_t length, size_t tokens_max) {
  Tokens all = tokenizer.encode(text, tokenizer::AddSpecial::kNo);
  all.resize(std::min(all.size(), tokens_max));
  const Tokens bos = tokenizer.bos_id() < 0 ? Tokens() : Tokens{tokenizer.bos_id()};
  const size_t step = length - bos.size();
  std::vector<Tokens> cut;
  for (size_t i = 0; i + step <= all.size(); i += step) {
    cut.push_back(bos);
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(i);
    cut.back().insert(cut.back().end(), from, from + static_cast<std::ptrdiff_t>(step));
  }
  return cut;
}

struct Score {
  double log_probability = 0.0;
  int64_t tokens = 0;
};

Score score(const models::Model& model, const std::vector<Tokens>& texts, int32_t length) {
  backend::cpu::Backend backend;
  engine::EngineConfig config;
  config.max_model_len = length + 1;
  config.num_blocks = config.max_model_len / engine::kBlockTokens + 2;
  config.max_num_seqs = 1;
  config.max_num_batched_tokens = length;
  config.prefix_caching = false;
  engine::Scheduler scheduler(config);
  runner::CpuRunner runner(model,
                           {.num_blocks = config.num_blocks,
                            .max_num_seqs = 1,
                            .max_num_batched_tokens = config.max_num_batched_tokens,
                            .kv_dtype = DType::kF32},
                           backend.context());
  Score total;
  for (size_t i = 0; i < texts.size(); ++i) {
    engine::Request request;
    request.id = i + 1;
    request.prompt = texts[i];
    request.max_tokens = 1;
    request.sampling.temperature = 0.0f;
    request.sampling.prompt_logprobs = 0;
    scheduler.add(request, 0);
    while (scheduler.busy()) {
      for (const engine::Output& output : scheduler.commit(runner.run(scheduler.plan(0)), 0)) {
        for (const engine::SampledToken& token : output.prompt) {
          if (token.rank == 0) continue;  // the first of a window has nothing before it
          total.log_probability += double{token.logprob};
          total.tokens += 1;
        }
      }
    }
  }
  return total;
}

void run(const std::string& folder, const std::string& text_file, size_t tokens_max) {
  io::Folder files(folder);
  const auto tokenizer = tokenizer::Tokenizer::load(files);
  const std::string text = io::read_file(text_file);
  for (const auto quantize :
       {models::Quantize::kNone, models::Quantize::kQ8, models::Quantize::kQ4}) {
    const auto model = models::load(files, {.compute = ops::ComputeType::kF32,
                                            .quantize = quantize,
                                            .threads = backend::cpu::usable_cores()});
    const int32_t length = std::min(kWindowMax, model->info.max_model_len - 1);
    const auto cut = windows(*tokenizer, text, static_cast<size_t>(length), tokens_max);
    const Score total = score(*model, cut, length);
    fmt::print(R"({{"bench":"perplexity","weights":"{}","tokens":{},"perplexity":{:.4f}}})"
               "\n",
               quantize == models::Quantize::kNone ? "as stored" : models::to_string(quantize),
               total.tokens, std::exp(-total.log_probability / static_cast<double>(total.tokens)));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace hearth

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("bench perplexity MODEL_FOLDER TEXT_FILE [TOKENS_MAX]\n", stderr);
    return 2;
  }
  try {
    hearth::run(argv[1], argv[2], argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 20'000);
  } catch (const hearth::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
