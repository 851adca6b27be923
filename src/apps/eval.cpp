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
#include "apps/local_model.h"
#include "apps/model_flags.h"
#include "io/file.h"
#include "io/json.h"
#include "runner/score.h"
#include "tokenizer/tokenizer.h"
#include "train/choices.h"
#include "train/corpus.h"

namespace hearth::apps {
namespace {

// llama-perplexity reads so many tokens at a time unless it is told otherwise.
constexpr int64_t kLlamaContext = 512;

struct Eval {
  ModelFlags model;
  std::vector<std::string> files;
  std::string separator = "<|endoftext|>";
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t context = 0;
  std::string windows = "documents";
  std::string bos = "auto";
  std::string precision = "bf16";
  bool choices = false;
  bool json = false;
};

struct Score {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t bytes = 0;
  double nats = 0;
};

// The weights of the projections, and what they take.
struct Bits {
  int64_t weights = 0;
  int64_t bytes = 0;
  double each() const {
    return 8.0 * static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(1, weights));
  }
};

Bits projection_bits(const models::Model& model) {
  Bits bits;
  for (const nn::Projection& projection : model.projections) {
    bits.weights += projection.out * projection.in;
    bits.bytes += projection.weight.bytes();
  }
  return bits;
}

// What both kinds of evaluation run on: the model as it is served.
class Bench {
 public:
  explicit Bench(const Eval& options)
      : source_(find_model(options.model.model, options.model.data_dir)),
        loaded_(load_model(source_, load_options(options.model), options.model.data_dir,
                           PackedCache::kOff)),
        backend_({.threads = options.model.threads}),
        tokenizer_(tokenizer::Tokenizer::load(*source_.files)),
        context_(context_of(options, model().info.max_model_len)),
        scorer_(model(), backend_.context(), runner_options(options.model, model()).kv_dtype,
                context_ + 1) {}

  const models::Model& model() const { return *loaded_.model; }
  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  // The most tokens that a token is judged by.
  int64_t context() const { return context_; }
  std::vector<float> losses(std::span<const int32_t> tokens) { return scorer_.losses(tokens); }

 private:
  static int64_t context_of(const Eval& options, int64_t longest) {
    const int64_t usual = options.windows == "llama" ? kLlamaContext : longest;
    return std::min(options.context > 0 ? options.context : usual, longest);
  }

  ModelSource source_;
  LoadedModel loaded_;
  backend::cpu::Backend backend_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  int64_t context_;
  runner::TextScorer scorer_;
};

std::span<const int32_t> piece(const std::vector<int32_t>& tokens, int64_t begin, int64_t end) {
  return std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

// A document longer than the context is scored in pieces that overlap by half, each token once and
// with at least half a context before it where there is one.
void score_document(Bench& bench, const std::vector<int32_t>& tokens, Score& score) {
  const auto count = static_cast<int64_t>(tokens.size());
  int64_t scored = 1;  // the first token has nothing before it
  while (scored < count) {
    const int64_t begin = scored == 1 ? 0 : scored - bench.context() / 2;
    const int64_t end = std::min(count, begin + bench.context() + 1);
    const std::vector<float> losses = bench.losses(piece(tokens, begin, end));
    for (int64_t i = scored; i < end; ++i) {
      score.nats += double{losses[static_cast<size_t>(i - begin - 1)]};
    }
    scored = end;
  }
  score.tokens += count - 1;
}

Score score_documents(const Eval& options, Bench& bench) {
  Score score;
  for (const std::string& file : options.files) {
    train::read_corpus(file, train::format_of(file), options.separator,
                       [&](const train::Document& document) {
                         if (options.documents > 0 && score.documents >= options.documents) return;
                         const std::string text = train::whole_text(document);
                         const std::vector<int32_t> tokens = bench.tokenizer().encode(text);
                         if (tokens.size() < 2) return;
                         ++score.documents;
                         score.bytes += static_cast<int64_t>(text.size());
                         score_document(bench, tokens, score);
                       });
  }
  return score;
}

// As llama-perplexity: each file is one text, cut into whole contexts that start afresh, each with
// the BOS in the place of its first token where the tokenizer sets one (or with --bos always); of
// each the later half counts.
void score_file(const Eval& options, Bench& bench, const std::string& file, Score& score) {
  const std::string text = io::read_file(file);
  std::vector<int32_t> tokens = bench.tokenizer().encode(text);
  if (options.tokens > 0) tokens.resize(std::min(tokens.size(), size_t(options.tokens)));
  const int32_t bos = bench.tokenizer().bos_id();
  const bool sets_bos =
      bos >= 0 && !tokens.empty() && (tokens.front() == bos || options.bos == "always");
  const int64_t context = bench.context(), first = context / 2;
  for (int64_t begin = 0; begin + context <= std::ssize(tokens); begin += context) {
    if (sets_bos) tokens[static_cast<size_t>(begin)] = bos;
    const std::vector<float> losses = bench.losses(piece(tokens, begin, begin + context));
    for (int64_t i = first; i + 1 < context; ++i) {
      score.nats += double{losses[static_cast<size_t>(i)]};
    }
    score.tokens += context - 1 - first;
    const std::string counted =
        bench.tokenizer().decode(piece(tokens, begin + first + 1, begin + context));
    score.bytes += std::ssize(counted);
  }
  ++score.documents;
}

Score score_texts(const Eval& options, Bench& bench) {
  if (options.windows != "llama") return score_documents(options, bench);
  Score score;
  for (const std::string& file : options.files) score_file(options, bench, file, score);
  return score;
}

void report(const Eval& options, const Bench& bench, const Score& score) {
  const double loss = score.nats / static_cast<double>(std::max<int64_t>(1, score.tokens));
  const double bits =
      score.nats / std::numbers::ln2 / static_cast<double>(std::max<int64_t>(1, score.bytes));
  const double weight_bits = projection_bits(bench.model()).each();
  if (options.json) {
    std::puts(io::dump_json({{"model", options.model.model},
                             {"documents", score.documents},
                             {"tokens", score.tokens},
                             {"bytes", score.bytes},
                             {"loss", loss},
                             {"perplexity", std::exp(loss)},
                             {"bits_per_byte", bits},
                             {"bits_per_weight", weight_bits}})
                  .c_str());
    return;
  }
  std::printf("%lld documents, %lld tokens, %lld bytes; projections of %.2f bits a weight\n",
              static_cast<long long>(score.documents), static_cast<long long>(score.tokens),
              static_cast<long long>(score.bytes), weight_bits);
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
    std::puts(io::dump_json({{"model", options.model.model},
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

train::ChoiceScore score_choices(const Eval& options, Bench& bench) {
  const auto encode = [&](const std::string& text) { return bench.tokenizer().encode(text); };
  const auto losses = [&](std::span<const int32_t> tokens) { return bench.losses(tokens); };
  train::ChoiceScore score;
  for (const std::string& file : options.files) {
    train::read_questions(file, [&](const train::Question& question) {
      if (options.documents > 0 && score.questions >= options.documents) return;
      train::score_question(losses, question, encode, bench.context(), score);
    });
  }
  return score;
}

void run(Eval options) {
  if (options.precision == "f32") {
    options.model.compute = "f32";
    if (options.model.kv_cache_dtype == "auto") options.model.kv_cache_dtype = "f32";
  }
  Bench bench(options);
  if (options.choices) {
    report(options, score_choices(options, bench));
  } else {
    report(options, bench, score_texts(options, bench));
  }
}

}  // namespace

void add_eval_command(CLI::App& app) {
  auto options = std::make_shared<Eval>();
  options->model.data_dir = default_data_dir();
  CLI::App* command = app.add_subcommand(
      "eval", "Perplexity and bits per byte of a model on text files, or its answers to questions");
  command
      ->add_option("MODEL", options->model.model,
                   "model folder, quantised or not, .gguf file, or a name under DATA_DIR/models")
      ->required();
  command
      ->add_option("FILES", options->files,
                   "text, or .jsonl with \"text\" (with --choices: questions)")
      ->required()
      ->check(CLI::ExistingFile);
  command->add_flag("--choices", options->choices,
                    "FILES are JSONL of questions with choices: the likeliest is the answer");
  command
      ->add_option("--windows", options->windows,
                   "documents: each from its beginning, those longer than the context in pieces "
                   "that overlap by half; llama: as llama-perplexity cuts a file")
      ->check(CLI::IsMember({"documents", "llama"}))
      ->capture_default_str();
  command
      ->add_option("--bos", options->bos,
                   "with --windows llama, the BOS at the beginning of a context: auto, where the "
                   "tokenizer sets one, or always, for models that were only trained with it")
      ->check(CLI::IsMember({"auto", "always"}))
      ->capture_default_str();
  command->add_option("--separator", options->separator, "line between documents of plain text")
      ->capture_default_str();
  command->add_option("--documents", options->documents, "at most so many, or questions; 0: all")
      ->capture_default_str();
  command
      ->add_option("--tokens", options->tokens,
                   "at most so many of each file, with --windows llama; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command
      ->add_option("--context", options->context,
                   "tokens; 0: the model's, and with --windows llama 512")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command
      ->add_option("--quantize", options->model.quantize,
                   "weights while loading to 8 or 4 bits: q8, q4 or none")
      ->check(CLI::IsMember({"none", "q8", "q4"}))
      ->capture_default_str();
  command->add_option("--precision", options->precision, "of products: bf16 or f32")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->capture_default_str();
  command
      ->add_option("--kv-cache-dtype", options->model.kv_cache_dtype,
                   "keys and values as auto, f32, f16, bf16 or int8")
      ->check(CLI::IsMember({"auto", "f32", "f16", "bf16", "int8"}))
      ->capture_default_str();
  command->add_option("--threads", options->model.threads, "0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--data-dir", options->model.data_dir, "where named models are")
      ->envname("HEARTH_DATA_DIR");
  command->add_flag("--json", options->json, "one JSON object");
  command->callback([options] { run(*options); });
}

}  // namespace hearth::apps
