// POST /v1/chat/completions.
#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/chat_job.h"
#include "serve/transcript.h"

namespace hearth::serve {

using io::Json;

namespace {

struct ChatOptions {
  std::string id;
  std::string model;
  int64_t created = 0;
  bool stream = false;
  bool include_usage = false;
  bool logprobs = false;
  bool token_ids = false;
  std::vector<TokenId> prompt_token_ids;  // with token_ids
};

// What both forms of the answer share.
class ChatSurface : public Surface {
 public:
  ChatSurface(App& app, std::shared_ptr<Reply> reply, ChatOptions options, int32_t choices)
      : app_(app),
        reply_(std::move(reply)),
        options_(std::move(options)),
        choices_(static_cast<size_t>(choices)) {}

  void on_prompt_logprobs(int32_t, std::vector<TokenText> tokens) override {
    for (const TokenText& token : tokens) prompt_logprobs_.push_back(logprob_json(token));
  }

  void on_refused(const engine::Admission& refusal) override {
    answer_refusal(app_, *reply_, refusal);
  }

  bool writable() override { return reply_->writable(); }

 protected:
  ChoiceText& choice(int32_t index) { return choices_[static_cast<size_t>(index)]; }

  Json base(const char* object) const {
    return {{"id", options_.id},
            {"object", object},
            {"created", options_.created},
            {"model", options_.model}};
  }

  Json prompt_logprobs() const {
    if (prompt_logprobs_.empty()) return nullptr;
    Json out = Json::array({nullptr});  // the first token has no probability
    out.insert(out.end(), prompt_logprobs_.begin(), prompt_logprobs_.end());
    return out;
  }

  // True when the engine failed one of the choices; the client is told once.
  bool fail_if_error(const ChoiceEnd& end) {
    if (end.reason != engine::FinishReason::kError || failed_) return failed_;
    failed_ = true;
    reply_->error({500, "server_error", end.error, {}, "engine_error", {}});
    return true;
  }

  App& app_;
  const std::shared_ptr<Reply> reply_;
  const ChatOptions options_;
  std::vector<ChoiceText> choices_;
  Json prompt_logprobs_ = Json::array();
  bool failed_ = false;
};

Json call_json(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.name}, {"arguments", call.arguments}}}};
}

class WholeChat final : public ChatSurface {
 public:
  using ChatSurface::ChatSurface;

  void on_piece(Piece piece) override {
    ChoiceText& text = choice(piece.choice);
    for (const ReplyPart& part : piece.parts) {
      const bool begins = part.kind == ReplyPart::Kind::kToolCall;
      text.add(part, begins ? app_.ids.make("call_") : "");
    }
    text.add_tokens(piece);
  }

  void on_end(const ChoiceEnd& end) override {
    choice(end.choice).end = end;
    fail_if_error(end);
  }

  void on_done(const Totals& totals) override {
    if (failed_) return;
    Json body = base("chat.completion");
    body["choices"] = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) body["choices"].push_back(choice_json(i));
    body["usage"] = usage_json(totals);
    if (!prompt_logprobs_.empty()) body["prompt_logprobs"] = prompt_logprobs();
    if (options_.token_ids) body["prompt_token_ids"] = options_.prompt_token_ids;
    reply_->json(200, body);
  }

 private:
  Json choice_json(size_t index) const {
    const ChoiceText& text = choices_[index];
    Json message = {{"role", "assistant"}, {"content", text.text}, {"refusal", nullptr}};
    if (!text.reasoning.empty()) message["reasoning_content"] = text.reasoning;
    if (!text.calls.empty()) {
      if (text.text.empty()) message["content"] = nullptr;
      message["tool_calls"] = Json::array();
      for (const ToolCall& call : text.calls) message["tool_calls"].push_back(call_json(call));
    }
    Json out = {{"index", index},
                {"message", std::move(message)},
                {"logprobs", options_.logprobs ? logprobs_json(text.tokens) : Json(nullptr)},
                {"finish_reason", finish_reason(text.end, !text.calls.empty())},
                {"stop_reason", stop_reason_json(text.end)}};
    if (options_.token_ids) out["token_ids"] = text.token_ids;
    return out;
  }
};

class StreamedChat final : public ChatSurface {
 public:
  using ChatSurface::ChatSurface;

  void on_admitted() override { reply_->begin_events(); }

  void on_piece(Piece piece) override {
    if (failed_) return;
    say_roles();
    ChoiceText& text = choice(piece.choice);
    text.add_tokens(piece);
    for (const ReplyPart& part : piece.parts) send(piece.choice, delta(text, part));
  }

  void on_end(const ChoiceEnd& end) override {
    if (fail_if_error(end)) return;
    say_roles();
    ChoiceText& text = choice(end.choice);
    text.end = end;
    Json chunk = chunk_of(end.choice, Json::object());
    chunk["choices"][0]["finish_reason"] = finish_reason(end, calls_of(end.choice) > 0);
    chunk["choices"][0]["stop_reason"] = stop_reason_json(end);
    reply_->event("", chunk);
  }

  void on_done(const Totals& totals) override {
    if (failed_) return;
    if (options_.include_usage) {
      Json chunk = base("chat.completion.chunk");
      chunk["choices"] = Json::array();
      chunk["usage"] = usage_json(totals);
      reply_->event("", chunk);
    }
    reply_->event_text("", "[DONE]");
    reply_->end();
  }

 private:
  // With the first news, since the log-probabilities of the prompt come in the first chunk.
  void say_roles() {
    if (std::exchange(roles_said_, true)) return;
    for (size_t i = 0; i < choices_.size(); ++i) {
      Json chunk = chunk_of(static_cast<int32_t>(i), {{"role", "assistant"}, {"content", ""}});
      if (i == 0 && !prompt_logprobs_.empty()) chunk["prompt_logprobs"] = prompt_logprobs();
      if (i == 0 && options_.token_ids) chunk["prompt_token_ids"] = options_.prompt_token_ids;
      reply_->event("", chunk);
    }
  }

  size_t calls_of(int32_t index) const { return choices_[static_cast<size_t>(index)].calls.size(); }

  // The client puts the text together, so only the calls are remembered here.
  Json delta(ChoiceText& text, const ReplyPart& part) {
    switch (part.kind) {
      case ReplyPart::Kind::kText:
        return {{"content", part.text}};
      case ReplyPart::Kind::kReasoning:
        return {{"reasoning_content", part.text}};
      case ReplyPart::Kind::kToolCall: {
        text.add(part, app_.ids.make("call_"));
        Json call = call_json(text.calls.back());
        call["index"] = part.tool_index;
        return {{"tool_calls", Json::array({std::move(call)})}};
      }
      case ReplyPart::Kind::kToolArguments:
        break;
    }
    return {{"tool_calls", Json::array({{{"index", part.tool_index},
                                         {"function", {{"arguments", part.text}}}}})}};
  }

  // Takes the tokens that wait for a chunk.
  Json chunk_of(int32_t index, Json delta) {
    const std::vector<TokenText> tokens = std::exchange(choice(index).tokens, {});
    const std::vector<TokenId> token_ids = std::exchange(choice(index).token_ids, {});
    Json chunk = base("chat.completion.chunk");
    Json entry = {{"index", index}, {"delta", std::move(delta)}};
    entry["logprobs"] =
        options_.logprobs && !tokens.empty() ? logprobs_json(tokens) : Json(nullptr);
    entry["finish_reason"] = nullptr;
    if (options_.token_ids) entry["token_ids"] = token_ids;
    chunk["choices"] = Json::array({std::move(entry)});
    if (options_.include_usage) chunk["usage"] = nullptr;
    return chunk;
  }

  void send(int32_t index, Json delta) { reply_->event("", chunk_of(index, std::move(delta))); }

  bool roles_said_ = false;
};

// Chat's logprobs are a switch and a count.
void read_logprobs(const Fields& fields, ChatJob& job) {
  job.logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, 20);
  if (top && !job.logprobs) {
    throw_error(ErrorCode::kInvalidArgument, "top_logprobs",
                "'top_logprobs' needs 'logprobs': true");
  }
  if (job.logprobs) {
    job.fields.base.sampling.logprobs = static_cast<int32_t>(top.value_or(0));
  }
}

ChatJob read_job(const Call& call, const Fields& fields) {
  ChatJob job;
  job.messages = normalise_messages(fields.require_array("messages"), "messages");
  job.fields = read_generation_fields(
      fields, call.app.model, call.app.ids,
      {{"max_completion_tokens", "max_tokens"}, engine::kAsManyAsFit, call.tenant.cache_salt});
  read_tools(fields, job);
  read_logprobs(fields, job);
  if (const Json* kwargs = fields.object("chat_template_kwargs")) job.template_kwargs = *kwargs;
  job.add_generation_prompt = fields.boolean("add_generation_prompt").value_or(true);
  job.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  if (job.continue_final_message && fields.boolean("add_generation_prompt").value_or(false)) {
    throw_error(ErrorCode::kInvalidArgument, "continue_final_message",
                "'continue_final_message' and 'add_generation_prompt' exclude each other");
  }
  if (job.continue_final_message) job.add_generation_prompt = false;
  return job;
}

}  // namespace

void chat_completions(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  choose_model(call, fields.string("model").value_or(""));
  ChatOptions options;
  options.id = call.app.ids.make("chatcmpl-");
  options.created = call.now_s();
  options.model = call.model;
  options.stream = fields.boolean("stream").value_or(false);
  if (const Json* stream_options = fields.object("stream_options")) {
    options.include_usage =
        Fields(*stream_options, "stream_options").boolean("include_usage").value_or(false);
  }
  const ChatJob job = read_job(call, fields);
  options.logprobs = job.logprobs;
  GenerationRequest request = make_generation(call.app, job);
  options.token_ids = request.token_ids;
  if (options.token_ids) options.prompt_token_ids = request.prompts[0].prompt;
  const int32_t choices = request.prompts[0].choices;
  std::unique_ptr<Surface> surface;
  if (options.stream) {
    surface = std::make_unique<StreamedChat>(call.app, call.reply, options, choices);
  } else {
    surface = std::make_unique<WholeChat>(call.app, call.reply, options, choices);
  }
  start_generation(call, std::move(request), std::move(surface));
}

}  // namespace hearth::serve
