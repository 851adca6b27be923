// hearth generate: many prompts through the engine at once, one JSON line for each answer. For
// making data and for batch work without a server.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "apps/commands.h"
#include "apps/local_model.h"
#include "apps/model_flags.h"
#include "apps/progress.h"
#include "base/clock.h"
#include "base/error.h"
#include "engine/scheduler.h"
#include "io/json.h"
#include "tokenizer/tokenizer.h"

namespace hearth::apps {
namespace {

struct Generate {
  ModelFlags model;
  std::string prompts;
  std::string out;
  int32_t max_tokens = engine::kAsManyAsFit;
  float temperature = 1.0f;
  float top_p = 0.95f;
  uint64_t seed = 1;
  std::vector<engine::TokenId> stop_tokens;
};

struct Prompt {
  std::string text;
  engine::Request request;
};

std::vector<Prompt> read_prompts(const Generate& options, const tokenizer::Tokenizer& tokenizer,
                                 std::vector<engine::TokenId> ends) {
  std::ifstream in(options.prompts);
  if (!in) throw_error(ErrorCode::kNotFound, options.prompts, "could not open the prompts");
  ends.insert(ends.end(), options.stop_tokens.begin(), options.stop_tokens.end());
  std::vector<Prompt> prompts;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const std::string where = fmt::format("{}:{}", options.prompts, prompts.size() + 1);
    const io::Json json = io::parse_json(line, where);
    Prompt prompt;
    prompt.text = io::json_require<std::string>(json, "prompt", where);
    prompt.request.id = prompts.size();
    prompt.request.prompt = tokenizer.encode(prompt.text);
    if (prompt.request.prompt.empty()) prompt.request.prompt.push_back(tokenizer.bos_id());
    prompt.request.sampling.temperature =
        io::json_get(json, "temperature", options.temperature, where);
    prompt.request.sampling.top_p = io::json_get(json, "top_p", options.top_p, where);
    prompt.request.sampling.seed =
        io::json_get<uint64_t>(json, "seed", options.seed + prompts.size(), where);
    prompt.request.max_tokens = io::json_get(json, "max_tokens", options.max_tokens, where);
    prompt.request.stop_tokens = ends;
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

// Keeps the engine full until every prompt is answered.
class Batch {
 public:
  Batch(const LocalModel& model, const tokenizer::Tokenizer& tokenizer, std::vector<Prompt> prompts,
        std::ostream& out)
      : model_(model),
        tokenizer_(tokenizer),
        prompts_(std::move(prompts)),
        out_(out),
        scheduler_(model.handle().engine, nullptr, model.handle().drafter) {}

  int64_t run(const Clock& clock) {
    ProgressBar progress("generating");
    const auto total = static_cast<int64_t>(prompts_.size());
    while (done_ < total) {
      admit(clock.now());
      if (!scheduler_.busy()) continue;
      const engine::StepPlan& plan = scheduler_.plan(clock.now());
      const engine::StepResult result = model_.handle().runner->run(plan);
      for (const engine::Output& output : scheduler_.commit(result, clock.now())) take(output);
      progress.show(done_, total);
    }
    return tokens_;
  }

 private:
  // Twice the running places wait, so that a free one is taken at once.
  void admit(Nanos now) {
    const auto places = 2 * static_cast<size_t>(model_.handle().engine.max_num_seqs);
    while (next_ < prompts_.size() && answers_.size() < places) {
      const Prompt& prompt = prompts_[next_++];
      const engine::Admission admission = scheduler_.add(prompt.request, now);
      if (admission.accepted()) {
        answers_[prompt.request.id];
      } else {
        write(prompt, {}, "error", admission.reason);
      }
    }
  }

  void take(const engine::Output& output) {
    std::vector<engine::TokenId>& answer = answers_[output.request];
    for (const engine::SampledToken& sampled : output.tokens) answer.push_back(sampled.token);
    tokens_ += static_cast<int64_t>(output.tokens.size());
    if (!output.request_done) return;
    write(prompts_[output.request], answer, engine::to_string(output.finish), output.error);
    answers_.erase(output.request);
  }

  // The whole text, decoded together with its prompt so that no space is lost between them.
  void write(const Prompt& prompt, const std::vector<engine::TokenId>& answer,
             const std::string& finish, const std::string& error) {
    std::vector<engine::TokenId> all = prompt.request.prompt;
    all.insert(all.end(), answer.begin(), answer.end());
    io::Json json = {{"prompt", prompt.text},
                     {"text", tokenizer_.decode(all)},
                     {"finish", finish},
                     {"tokens", answer.size()},
                     {"prompt_token_ids", prompt.request.prompt},
                     {"token_ids", answer}};
    if (!error.empty()) json["error"] = error;
    out_ << io::dump_json(json) << '\n';
    ++done_;
  }

  const LocalModel& model_;
  const tokenizer::Tokenizer& tokenizer_;
  std::vector<Prompt> prompts_;
  std::ostream& out_;
  engine::Scheduler scheduler_;
  std::unordered_map<engine::RequestId, std::vector<engine::TokenId>> answers_;
  size_t next_ = 0;
  int64_t done_ = 0;
  int64_t tokens_ = 0;
};

void run_generate(const Generate& options) {
  const SystemClock clock;
  const LocalModel model(options.model, clock);
  const ModelSource source = find_model(options.model.model, options.model.data_dir);
  const auto tokenizer = tokenizer::Tokenizer::load(*source.files);
  std::ofstream out(options.out);
  if (!out) throw_error(ErrorCode::kIo, options.out, "could not be written");
  std::vector<Prompt> prompts = read_prompts(options, *tokenizer, model.handle().end_tokens);
  const size_t count = prompts.size();
  Batch batch(model, *tokenizer, std::move(prompts), out);
  const Nanos begin = clock.now();
  const int64_t tokens = batch.run(clock);
  const double seconds = static_cast<double>(clock.now() - begin) / static_cast<double>(kSecond);
  std::fprintf(stderr, "%zu answers, %lld tokens, %.0f tokens/s\n", count,
               static_cast<long long>(tokens), static_cast<double>(tokens) / seconds);
}

}  // namespace

void add_generate_command(CLI::App& app) {
  auto options = std::make_shared<Generate>();
  CLI::App* command = app.add_subcommand(
      "generate", "Answer a file of prompts in one batch: {\"prompt\": ...} lines in and out");
  options->model.step_ms = 0;  // nobody waits for a single token here
  options->model.itl_stretch = 0;
  add_model_flags(*command, options->model);
  command
      ->add_option("--prompts", options->prompts,
                   "JSON lines: prompt, and where wanted temperature, top_p, seed, max_tokens")
      ->required();
  command
      ->add_option("--out", options->out,
                   "JSON lines: prompt, text, finish, tokens, prompt_token_ids, token_ids")
      ->required();
  command->add_option("--max-tokens", options->max_tokens, "of each answer; -1: as many as fit")
      ->capture_default_str();
  command->add_option("--temperature", options->temperature, "where a line says none")
      ->capture_default_str();
  command->add_option("--top-p", options->top_p, "where a line says none")->capture_default_str();
  command->add_option("--seed", options->seed, "of the first line that has none")
      ->capture_default_str();
  command->add_option("--stop-token", options->stop_tokens,
                      "Ids that end an answer, besides the model's own; may be given again");
  command->callback([options] { run_generate(*options); });
}

}  // namespace hearth::apps
