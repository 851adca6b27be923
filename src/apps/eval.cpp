// hearth eval: perplexity and bits per byte of a model on a text, or its answers to questions with
// choices.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numbers>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/train_machine.h"
#include "base/error.h"
#include "io/file_source.h"
#include "io/json.h"
#include "tokenizer/tokenizer.h"
#include "train/choices.h"
#include "train/corpus.h"
#include "train/hf_files.h"
#include "train/model.h"

namespace hearth::apps {
namespace {

struct Eval {
  std::string model;
  std::vector<std::string> files;
  std::string separator = "<|endoftext|>";
  int64_t documents = 0;
  int64_t context = 0;
  std::string precision = "bf16";
  int threads = 0;
  bool choices = false;
  bool json = false;
};

struct Score {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t bytes = 0;
  double nats = 0;
};

// A document longer than the context is scored in pieces that overlap by half, each token once and
// with at least half a context before it where there is one.
void score_document(ops::TrainContext& ctx, train::Model& model, const std::vector<int32_t>& tokens,
                    int64_t context, Score& score) {
  const auto count = static_cast<int64_t>(tokens.size());
  int64_t scored = 1;  // the first token has nothing before it
  while (scored < count) {
    const int64_t begin = scored == 1 ? 0 : scored - context / 2;
    const int64_t end = std::min(count, begin + context + 1);
    train::Batch batch;
    batch.append(
        std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    std::vector<float> losses(batch.ids.size());
    model.losses(ctx, batch, losses);
    for (int64_t i = scored; i < end; ++i) {
      score.nats += losses[static_cast<size_t>(i - begin - 1)];
    }
    scored = end;
  }
  score.tokens += count - 1;
}

void report(const Eval& options, const Score& score) {
  const double loss = score.nats / static_cast<double>(std::max<int64_t>(1, score.tokens));
  const double bits =
      score.nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(1, score.bytes));
  if (options.json) {
    std::puts(io::dump_json({{"model", options.model},
                             {"documents", score.documents},
                             {"tokens", score.tokens},
                             {"bytes", score.bytes},
                             {"loss", loss},
                             {"perplexity", std::exp(loss)},
                             {"bits_per_byte", bits}})
                  .c_str());
    return;
  }
  std::printf("%lld documents, %lld tokens, %lld bytes\n", static_cast<long long>(score.documents),
              static_cast<long long>(score.tokens), static_cast<long long>(score.bytes));
  std::printf("loss %.4f nats a token, perplexity %.3f, %.4f bits per byte\n", loss, std::exp(loss),
              bits);
}

void report(const Eval& options, const train::ChoiceScore& score) {
  const auto questions = static_cast<double>(std::max<int64_t>(1, score.questions));
  const double right = static_cast<double>(score.right) / questions;
  const double per_byte = static_cast<double>(score.right_per_byte) / questions;
  // Of a share of `questions` draws.
  const double error = std::sqrt(right * (1 - right) / questions);
  if (options.json) {
    std::puts(io::dump_json({{"model", options.model},
                             {"questions", score.questions},
                             {"accuracy", right},
                             {"accuracy_per_byte", per_byte},
                             {"standard_error", error},
                             {"chance", score.chance / questions},
                             {"answer_nats", score.answer_nats / questions}})
                  .c_str());
    return;
  }
  std::printf("%lld questions, chance %.1f %%\n", static_cast<long long>(score.questions),
              100 * score.chance / questions);
  std::printf("right %.1f %% (± %.1f), by likelihood a byte %.1f %%; %.3f nats for the answer\n",
              100 * right, 100 * error, 100 * per_byte, score.answer_nats / questions);
}

// What both kinds of evaluation run on.
struct Bench {
  explicit Bench(const Eval& options)
      : machine(options.threads),
        ctx(machine.context()),
        model(load(options)),
        files(options.model),
        tokenizer(tokenizer::Tokenizer::load(files)),
        context(options.context > 0 ? std::min(options.context, model->context_max())
                                    : model->context_max()) {
    model->parameters().refresh(ctx);
  }

  static std::unique_ptr<train::Model> load(const Eval& options) {
    const std::string path = options.model + "/config.json";
    const DType dtype = options.precision == "f32" ? DType::kF32 : DType::kBF16;
    auto model = train::make_model(io::load_json(path),
                                   {.compute = dtype,
                                    .recompute = train::Recompute::kBlock,
                                    .training = train::Training::kFrozen},
                                   path);
    train::load_weights(options.model, *model);
    return model;
  }

  TrainMachine machine;
  ops::TrainContext ctx;
  std::unique_ptr<train::Model> model;
  io::Folder files;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
  int64_t context;
};

Score score_texts(const Eval& options, Bench& bench) {
  Score score;
  for (const std::string& file : options.files) {
    train::read_corpus(file, train::format_of(file), options.separator,
                       [&](const train::Document& document) {
                         if (options.documents > 0 && score.documents >= options.documents) return;
                         const std::string text = train::whole_text(document);
                         const std::vector<int32_t> tokens = bench.tokenizer->encode(text);
                         if (tokens.size() < 2) return;
                         ++score.documents;
                         score.bytes += static_cast<int64_t>(text.size());
                         score_document(bench.ctx, *bench.model, tokens, bench.context, score);
                       });
  }
  return score;
}

train::ChoiceScore score_choices(const Eval& options, Bench& bench) {
  const auto encode = [&](const std::string& text) { return bench.tokenizer->encode(text); };
  train::ChoiceScore score;
  for (const std::string& file : options.files) {
    train::read_questions(file, [&](const train::Question& question) {
      if (options.documents > 0 && score.questions >= options.documents) return;
      train::score_question(bench.ctx, *bench.model, question, encode, bench.context, score);
    });
  }
  return score;
}

void run(const Eval& options) {
  Bench bench(options);
  if (options.choices) {
    report(options, score_choices(options, bench));
  } else {
    report(options, score_texts(options, bench));
  }
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto options = std::make_shared<Eval>();
  CLI::App* command = app.add_subcommand(
      "eval", "Perplexity and bits per byte of a model on text files, or its answers to questions");
  command->add_option("MODEL", options->model, "folder of a model")->required();
  command
      ->add_option("FILES", options->files,
                   "text, or .jsonl with \"text\" (with --choices: questions)")
      ->required();
  command->add_flag("--choices", options->choices,
                    "FILES are JSONL of questions with choices: the likeliest is the answer");
  command->add_option("--separator", options->separator, "line between documents of plain text")
      ->capture_default_str();
  command->add_option("--documents", options->documents, "at most so many, or questions; 0: all")
      ->capture_default_str();
  command->add_option("--context", options->context, "tokens; 0: the model's")
      ->capture_default_str();
  command->add_option("--precision", options->precision, "of products: bf16 or f32")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "0: one for each core")->capture_default_str();
  command->add_flag("--json", options->json, "one JSON object");
  command->callback([options] { run(*options); });
}

}  // namespace hearth::apps
