// POST /v1/completions: text that goes on from a prompt, with echo and the older form of logprobs.
#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/generation_fields.h"
#include "serve/transcript.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr int32_t kSilentMaxTokens = 16;  // OpenAI's
constexpr size_t kPromptsMax = 256;

struct CompletionOptions {
  std::string id;
  std::string model;
  int64_t created = 0;
  bool include_usage = false;
  bool logprobs = false;
  bool echo = false;
  bool prompt_logprobs = false;
  bool token_ids = false;
};

struct EchoedPrompt {
  std::string text;
  std::vector<TokenId> tokens;
};

// tokens, token_logprobs, top_logprobs and text_offset, as lists of the same length.
class LegacyLogprobs {
 public:
  // `token` may be the first of a prompt, which has no probability.
  void add(const TokenText& token, bool known) {
    tokens_.push_back(token.bytes);
    logprobs_.push_back(known ? Json(token.logprob) : Json(nullptr));
    Json top = known ? Json::object() : Json(nullptr);
    for (const Alternative& other : token.top) top[io_text(other.bytes)] = other.logprob;
    top_.push_back(std::move(top));
    offsets_.push_back(token.text_offset);
  }
  Json json() const {
    return {{"tokens", tokens_},
            {"token_logprobs", logprobs_},
            {"top_logprobs", top_},
            {"text_offset", offsets_}};
  }

 private:
  // Keys of an object have to be told apart, so half characters are spelled out.
  static std::string io_text(const std::string& bytes) {
    const std::string shown = io::dump_json(Json(bytes));
    if (shown.find("\xEF\xBF\xBD") == std::string::npos) return bytes;
    std::string out = "bytes:";
    for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    return out;
  }

  Json tokens_ = Json::array();
  Json logprobs_ = Json::array();
  Json top_ = Json::array();
  Json offsets_ = Json::array();
};

class CompletionSurface : public Surface {
 public:
  CompletionSurface(App& app, std::shared_ptr<Reply> reply, CompletionOptions options,
                    std::vector<EchoedPrompt> prompts, int32_t choices_per_prompt)
      : app_(app),
        reply_(std::move(reply)),
        options_(std::move(options)),
        prompts_(std::move(prompts)),
        choices_per_prompt_(choices_per_prompt),
        prompt_logprobs_(prompts_.size()),
        choices_(prompts_.size() * static_cast<size_t>(choices_per_prompt)) {}

  void on_prompt_logprobs(int32_t prompt, std::vector<TokenText> tokens) override {
    auto& all = prompt_logprobs_[static_cast<size_t>(prompt)];
    std::move(tokens.begin(), tokens.end(), std::back_inserter(all));
  }

  void on_refused(const engine::Admission& refusal) override {
    answer_refusal(app_, *reply_, refusal);
  }

  bool writable() override { return reply_->writable(); }

 protected:
  size_t prompt_of(size_t choice) const {
    return choice / static_cast<size_t>(choices_per_prompt_);
  }

  Json base() const {
    return {{"id", options_.id},
            {"object", "text_completion"},
            {"created", options_.created},
            {"model", options_.model}};
  }

  std::string echoed(size_t choice) const {
    return options_.echo ? prompts_[prompt_of(choice)].text : std::string();
  }

  // Of the tokens given, after those of the prompt where it is echoed.
  Json logprobs_of(size_t choice, const std::vector<TokenText>& tokens, bool with_prompt) const {
    if (!options_.logprobs) return nullptr;
    LegacyLogprobs out;
    if (with_prompt) add_prompt(prompt_of(choice), out);
    const int32_t shift = options_.echo ? count_characters(prompts_[prompt_of(choice)].text) : 0;
    for (TokenText token : tokens) {
      token.text_offset += shift;
      out.add(token, true);
    }
    return out.json();
  }

  bool fail_if_error(const ChoiceEnd& end) {
    if (end.reason != engine::FinishReason::kError || failed_) return failed_;
    failed_ = true;
    reply_->error({500, "server_error", end.error, {}, "engine_error", {}});
    return true;
  }

  Json prompt_logprobs_json(size_t prompt) const {
    Json out = Json::array({nullptr});
    for (const TokenText& token : prompt_logprobs_[prompt]) out.push_back(logprob_json(token));
    return out;
  }

  App& app_;
  const std::shared_ptr<Reply> reply_;
  const CompletionOptions options_;
  const std::vector<EchoedPrompt> prompts_;
  const int32_t choices_per_prompt_;
  std::vector<std::vector<TokenText>> prompt_logprobs_;  // without the first token's
  std::vector<ChoiceText> choices_;
  bool failed_ = false;

 private:
  // What the tokenizer puts before a text is among the tokens, but takes no room in the text.
  void add_prompt(size_t prompt, LegacyLogprobs& out) const {
    const EchoedPrompt& echoed_prompt = prompts_[prompt];
    const TextCodec& codec = *app_.model.codec;
    const bool all_shown =
        codec.decode(echoed_prompt.tokens, SpecialTokens::kKeep) == echoed_prompt.text;
    const auto stream = codec.stream({}, all_shown ? SpecialTokens::kKeep : SpecialTokens::kSkip);
    const auto& known = prompt_logprobs_[prompt];
    int32_t offset = 0;
    for (size_t i = 0; i < echoed_prompt.tokens.size(); ++i) {
      TokenText token;
      if (i > 0 && i - 1 < known.size()) token = known[i - 1];
      token.bytes = codec.token_bytes(echoed_prompt.tokens[i]);
      token.text_offset = offset;
      offset += count_characters(stream->feed(echoed_prompt.tokens[i]));
      out.add(token, i > 0 && i - 1 < known.size());
    }
  }
};

class WholeCompletion final : public CompletionSurface {
 public:
  using CompletionSurface::CompletionSurface;

  void on_piece(Piece piece) override {
    ChoiceText& text = choices_[static_cast<size_t>(piece.choice)];
    for (const ReplyPart& part : piece.parts) text.add(part, "");
    text.add_tokens(piece);
  }

  void on_end(const ChoiceEnd& end) override {
    choices_[static_cast<size_t>(end.choice)].end = end;
    fail_if_error(end);
  }

  void on_done(const Totals& totals) override {
    if (failed_) return;
    Json body = base();
    body["choices"] = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) body["choices"].push_back(choice_json(i));
    body["usage"] = usage_json(totals);
    reply_->json(200, body);
  }

 private:
  Json choice_json(size_t index) const {
    const ChoiceText& text = choices_[index];
    Json out = {{"index", index},
                {"text", echoed(index) + text.text},
                {"logprobs", logprobs_of(index, text.tokens, options_.echo)},
                {"finish_reason", finish_reason(text.end, false)},
                {"stop_reason", stop_reason_json(text.end)}};
    if (options_.prompt_logprobs) out["prompt_logprobs"] = prompt_logprobs_json(prompt_of(index));
    if (options_.token_ids) {
      out["prompt_token_ids"] = prompts_[prompt_of(index)].tokens;
      out["token_ids"] = text.token_ids;
    }
    return out;
  }
};

class StreamedCompletion final : public CompletionSurface {
 public:
  using CompletionSurface::CompletionSurface;

  void on_admitted() override { reply_->begin_events(); }

  void on_piece(Piece piece) override {
    if (failed_) return;
    reply_->event("", chunk(piece));
  }

  void on_end(const ChoiceEnd& end) override {
    if (fail_if_error(end)) return;
    Json last = chunk({end.choice, {}, {}, {}});
    last["choices"][0]["finish_reason"] = finish_reason(end, false);
    last["choices"][0]["stop_reason"] = stop_reason_json(end);
    reply_->event("", last);
  }

  void on_done(const Totals& totals) override {
    if (failed_) return;
    if (options_.include_usage) {
      Json last = base();
      last["choices"] = Json::array();
      last["usage"] = usage_json(totals);
      reply_->event("", last);
    }
    reply_->event_text("", "[DONE]");
    reply_->end();
  }

 private:
  // The first chunk of a choice carries its prompt, if that is echoed.
  Json chunk(const Piece& piece) {
    const auto index = static_cast<size_t>(piece.choice);
    const bool first = begun_.size() <= index || !begun_[index];
    if (begun_.size() <= index) begun_.resize(choices_.size());
    begun_[index] = true;
    std::string text = first ? echoed(index) : std::string();
    for (const ReplyPart& part : piece.parts) text += part.text;
    Json entry = {{"index", index},
                  {"text", std::move(text)},
                  {"logprobs", logprobs_of(index, piece.tokens, first && options_.echo)},
                  {"finish_reason", nullptr}};
    if (first && options_.prompt_logprobs) {
      entry["prompt_logprobs"] = prompt_logprobs_json(prompt_of(index));
    }
    if (options_.token_ids) {
      if (first) entry["prompt_token_ids"] = prompts_[prompt_of(index)].tokens;
      entry["token_ids"] = piece.token_ids;
    }
    Json out = base();
    out["choices"] = Json::array({std::move(entry)});
    if (options_.include_usage) out["usage"] = nullptr;
    return out;
  }

  std::vector<bool> begun_;
};

// A string, strings, token ids, or lists of token ids.
std::vector<EchoedPrompt> read_prompts(const Fields& fields, const TextCodec& codec) {
  const Json* prompt = fields.find("prompt");
  const auto wrong = [](const std::string& got) {
    throw_error(ErrorCode::kInvalidArgument, "prompt",
                "'prompt': expected a string, an array of at most {} strings, token ids, or arrays "
                "of token ids, got {}",
                kPromptsMax, got);
  };
  std::vector<EchoedPrompt> out;
  const auto add_text = [&](const Json& text) {
    const auto& bytes = text.get_ref<const std::string&>();
    out.push_back({bytes, codec.encode(bytes, PromptEdges::kAdd)});
  };
  const auto add_tokens = [&](const Json& list) {
    std::vector<TokenId> tokens;
    for (const Json& token : list) {
      const bool fits = token.is_number_integer() && token.get<double>() >= 0 &&
                        token.get<double>() < codec.vocab_size();
      if (!fits) wrong(fmt::format("{} as a token id below {}", brief(token), codec.vocab_size()));
      tokens.push_back(token.get<TokenId>());
    }
    out.push_back({codec.decode(tokens, SpecialTokens::kKeep), std::move(tokens)});
  };
  if (!prompt) wrong("nothing");
  if (prompt->is_string()) {
    add_text(*prompt);
  } else if (!prompt->is_array() || prompt->empty()) {
    wrong(brief(*prompt));
  } else if ((*prompt)[0].is_number()) {
    add_tokens(*prompt);
  } else {
    if (prompt->size() > kPromptsMax) wrong(fmt::format("{} of them", prompt->size()));
    for (const Json& entry : *prompt) {
      if (entry.is_string()) {
        add_text(entry);
      } else if (entry.is_array()) {
        add_tokens(entry);
      } else {
        wrong(brief(entry));
      }
    }
  }
  return out;
}

void refuse_unsupported(const Fields& fields, int64_t choices) {
  if (fields.has("suffix")) {
    throw_error(ErrorCode::kUnsupported, "suffix",
                "'suffix' is not supported: put the middle's template into the prompt");
  }
  if (fields.integer("best_of", 1, INT32_MAX).value_or(choices) != choices) {
    throw_error(ErrorCode::kUnsupported, "best_of",
                "'best_of' other than 'n' is not supported: ask for more with 'n'");
  }
}

}  // namespace

void completions(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  choose_model(call, fields.string("model").value_or(""));
  CompletionOptions options;
  options.id = call.app.ids.make("cmpl-");
  options.created = call.now_s();
  options.model = call.model;
  options.echo = fields.boolean("echo").value_or(false);
  if (const Json* stream_options = fields.object("stream_options")) {
    options.include_usage =
        Fields(*stream_options, "stream_options").boolean("include_usage").value_or(false);
  }
  GenerationFields generation = read_generation_fields(
      fields, call.app.model, call.app.ids,
      {{"max_tokens"}, kSilentMaxTokens, call.tenant.cache_salt, BeyondContext::kRefuse});
  refuse_unsupported(fields, generation.base.choices);
  options.prompt_logprobs = generation.base.sampling.prompt_logprobs >= 0;
  if (const auto count = fields.integer("logprobs", 0, 20)) {
    options.logprobs = true;
    generation.base.sampling.logprobs = static_cast<int32_t>(*count);
    if (options.echo && !options.prompt_logprobs) {
      generation.base.sampling.prompt_logprobs = static_cast<int32_t>(*count);
    }
  }
  options.token_ids = generation.token_ids;
  std::vector<EchoedPrompt> prompts = read_prompts(fields, *call.app.model.codec);
  GenerationRequest request;
  for (const EchoedPrompt& prompt : prompts) {
    request.prompts.push_back(make_prompt(generation, call.app.model, prompt.tokens));
  }
  request.stops = generation.stops;
  request.skip_special_tokens = generation.skip_special_tokens;
  request.logprobs = options.logprobs;
  request.token_ids = options.token_ids;
  const int32_t choices = generation.base.choices;
  std::unique_ptr<Surface> surface;
  if (fields.boolean("stream").value_or(false)) {
    surface = std::make_unique<StreamedCompletion>(call.app, call.reply, options,
                                                   std::move(prompts), choices);
  } else {
    surface = std::make_unique<WholeCompletion>(call.app, call.reply, options, std::move(prompts),
                                                choices);
  }
  start_generation(call, std::move(request), std::move(surface));
}

}  // namespace hearth::serve
