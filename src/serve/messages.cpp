// POST /v1/messages and /v1/messages/count_tokens: Anthropic's shape over the same generations.
#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/chat_job.h"
#include "serve/reply_items.h"
#include "serve/transcript.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kStopSequencesMax = 64;

// A string, or the text blocks of a list joined.
std::string text_of(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    throw_error(ErrorCode::kInvalidArgument, path, "'{}': expected a string or blocks, got {}",
                path, brief(content));
  }
  std::string out;
  for (size_t i = 0; i < content.size(); ++i) {
    const Fields block(content[i], fmt::format("{}[{}]", path, i));
    const std::string type = block.require_string("type");
    if (type != "text") {
      throw_error(ErrorCode::kUnsupported, block.path_of("type"),
                  "'{}': this model reads text only, got a block of type '{}'",
                  block.path_of("type"), type);
    }
    if (i > 0) out += '\n';
    out += block.require_string("text");
  }
  return out;
}

// The blocks of one message become one chat message, after the results of tools it brings.
class MessageBuilder {
 public:
  explicit MessageBuilder(std::string role) : message_({{"role", std::move(role)}}) {}

  void add(const Fields& block) {
    const std::string type = block.require_string("type");
    if (type == "text") {
      if (!text_.empty()) text_ += '\n';
      text_ += block.require_string("text");
      has_text_ = true;
    } else if (type == "tool_use") {
      const Json* input = block.object("input");
      calls_.push_back({{"id", block.require_string("id")},
                        {"type", "function"},
                        {"function",
                         {{"name", block.require_string("name")},
                          {"arguments", input ? *input : Json::object()}}}});
    } else if (type == "tool_result") {
      const Json* content = block.find("content");
      results_.push_back({{"role", "tool"},
                          {"tool_call_id", block.require_string("tool_use_id")},
                          {"content", content ? text_of(*content, block.path_of("content")) : ""}});
    } else if (type == "thinking") {
      message_["reasoning_content"] = block.require_string("thinking");
    } else if (type != "redacted_thinking") {
      throw_error(ErrorCode::kUnsupported, block.path_of("type"),
                  "'{}': this model reads text only, got a block of type '{}'",
                  block.path_of("type"), type);
    }
  }

  void append_to(Json& messages) {
    for (Json& result : results_) messages.push_back(std::move(result));
    if (!has_text_ && calls_.empty() && !results_.empty()) return;
    message_["content"] = text_;
    if (!calls_.empty()) message_["tool_calls"] = std::move(calls_);
    messages.push_back(std::move(message_));
  }

 private:
  Json message_;
  std::string text_;
  bool has_text_ = false;
  Json calls_ = Json::array();
  Json results_ = Json::array();
};

Json read_messages(const Fields& fields) {
  Json out = Json::array();
  if (const Json* system = fields.find("system")) {
    out.push_back({{"role", "system"}, {"content", text_of(*system, "system")}});
  }
  const Json& messages = fields.require_array("messages");
  for (size_t i = 0; i < messages.size(); ++i) {
    const Fields message(messages[i], fmt::format("messages[{}]", i));
    message.require_string("role");
    const std::string role = *message.choice("role", {"user", "assistant", "system"});
    const Json* content = message.find("content");
    if (content && content->is_array()) {
      MessageBuilder builder(role);
      for (size_t j = 0; j < content->size(); ++j) {
        builder.add(Fields((*content)[j], fmt::format("{}[{}]", message.path_of("content"), j)));
      }
      builder.append_to(out);
    } else {
      out.push_back({{"role", role}, {"content", message.require_string("content")}});
    }
  }
  return normalise_messages(out, "messages");
}

// Anthropic's tools and tool_choice as OpenAI's.
Json tools_for_chat(const Fields& fields) {
  Json out = Json::object();
  if (const Json* tools = fields.array("tools")) {
    out["tools"] = Json::array();
    for (size_t i = 0; i < tools->size(); ++i) {
      const Fields tool((*tools)[i], fmt::format("tools[{}]", i));
      const Json* schema = tool.object("input_schema");
      out["tools"].push_back({{"type", "function"},
                              {"function",
                               {{"name", tool.require_string("name")},
                                {"description", tool.string("description").value_or("")},
                                {"parameters", schema ? *schema : Json::object()}}}});
    }
  }
  const Json* choice = fields.object("tool_choice");
  if (!choice) return out;
  const Fields inner(*choice, "tool_choice");
  inner.require_string("type");
  const std::string type = *inner.choice("type", {"auto", "any", "tool", "none"});
  out["parallel_tool_calls"] = !inner.boolean("disable_parallel_tool_use").value_or(false);
  if (type == "tool") {
    out["tool_choice"] = {{"type", "function"},
                          {"function", {{"name", inner.require_string("name")}}}};
  } else {
    out["tool_choice"] = type == "any" ? "required" : type;
  }
  return out;
}

ChatJob read_conversation(const Fields& fields) {
  ChatJob job;
  job.messages = read_messages(fields);
  const Json tools = tools_for_chat(fields);
  read_tools(Fields(tools), job);
  // A last message of the assistant is the beginning of the answer.
  if (job.messages.back()["role"] == "assistant") {
    job.continue_final_message = true;
    job.add_generation_prompt = false;
  }
  return job;
}

Json usage(const Totals& totals) {
  return {{"input_tokens", totals.prompt_tokens - totals.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", totals.cached_tokens},
          {"output_tokens", totals.output_tokens}};
}

struct MessageOptions {
  std::string id;
  std::string model;
  bool stream = false;
  int32_t prompt_tokens = 0;
};

class MessageSurface final : public Surface, private ItemListener {
 public:
  MessageSurface(App& app, std::shared_ptr<Reply> reply, MessageOptions options)
      : app_(app), reply_(std::move(reply)), options_(std::move(options)) {}

  void on_admitted() override { begin(); }
  void on_prompt_logprobs(int32_t, std::vector<TokenText>) override {}
  void on_piece(Piece piece) override {
    if (failed_) return;
    for (const ReplyPart& part : piece.parts) items_.add(part);
  }
  void on_end(const ChoiceEnd& end) override {
    end_ = end;
    if (end.reason != engine::FinishReason::kError) return;
    failed_ = true;
    reply_->error({500, "server_error", end.error, {}, {}, {}});
  }
  void on_done(const Totals& totals) override {
    if (failed_) return;
    items_.finish();
    if (!options_.stream) return reply_->json(200, whole(totals));
    Json delta = {{"stop_reason", stop_reason()}, {"stop_sequence", stop_sequence()}};
    event("message_delta", {{"delta", std::move(delta)}, {"usage", usage(totals)}});
    event("message_stop", Json::object());
    reply_->end();
  }
  void on_refused(const engine::Admission& refusal) override {
    answer_refusal(app_, *reply_, refusal);
  }
  bool writable() override { return reply_->writable(); }

 private:
  void on_item(size_t index, ReplyItem& item) override {
    if (item.kind == ReplyItem::Kind::kCall) item.id = app_.ids.make("toolu_");
    if (options_.stream) {
      ReplyItem empty = item;
      empty.text.clear();
      event("content_block_start", {{"index", index}, {"content_block", block(empty)}});
    }
  }
  void on_growth(size_t index, const ReplyItem& item, const std::string& more) override {
    if (!options_.stream) return;
    Json delta;
    switch (item.kind) {
      case ReplyItem::Kind::kText:
        delta = {{"type", "text_delta"}, {"text", more}};
        break;
      case ReplyItem::Kind::kReasoning:
        delta = {{"type", "thinking_delta"}, {"thinking", more}};
        break;
      case ReplyItem::Kind::kCall:
        delta = {{"type", "input_json_delta"}, {"partial_json", more}};
        break;
    }
    event("content_block_delta", {{"index", index}, {"delta", std::move(delta)}});
  }
  void on_item_end(size_t index, const ReplyItem&) override {
    if (options_.stream) event("content_block_stop", {{"index", index}});
  }

  static Json block(const ReplyItem& item) {
    switch (item.kind) {
      case ReplyItem::Kind::kText:
        return {{"type", "text"}, {"text", item.text}};
      case ReplyItem::Kind::kReasoning:
        return {{"type", "thinking"}, {"thinking", item.text}, {"signature", ""}};
      case ReplyItem::Kind::kCall:
        break;
    }
    // A model that wrote no JSON is shown as it wrote.
    Json input = Json::parse(item.text, nullptr, false);
    if (item.text.empty()) input = Json::object();
    if (input.is_discarded()) input = {{"text", item.text}};
    return {{"type", "tool_use"}, {"id", item.id}, {"name", item.name}, {"input", input}};
  }

  void begin() {
    if (!options_.stream) return;
    reply_->begin_events();
    Json message = base();
    message["usage"] = usage({options_.prompt_tokens, 0, 0, 0});
    event("message_start", {{"message", std::move(message)}});
    event("ping", Json::object());
  }

  Json base() const {
    return {{"id", options_.id},       {"type", "message"},        {"role", "assistant"},
            {"model", options_.model}, {"content", Json::array()}, {"stop_reason", nullptr},
            {"stop_sequence", nullptr}};
  }

  Json whole(const Totals& totals) const {
    Json message = base();
    for (const ReplyItem& item : items_.items()) message["content"].push_back(block(item));
    message["stop_reason"] = stop_reason();
    message["stop_sequence"] = stop_sequence();
    message["usage"] = usage(totals);
    return message;
  }

  std::string stop_reason() const {
    if (end_.reason == engine::FinishReason::kLength) return "max_tokens";
    if (end_.stop_string) return "stop_sequence";
    return items_.called_tools() ? "tool_use" : "end_turn";
  }
  Json stop_sequence() const { return end_.stop_string ? Json(*end_.stop_string) : Json(nullptr); }

  void event(const char* type, const Json& fields) {
    Json data = {{"type", type}};
    data.update(fields);
    reply_->event(type, data);
  }

  App& app_;
  const std::shared_ptr<Reply> reply_;
  const MessageOptions options_;
  ReplyItems items_{*this};
  ChoiceEnd end_;
  bool failed_ = false;
};

}  // namespace

void messages(Call& call) {
  Json body = call.json_body();
  const Fields fields(body);
  choose_model(call, fields.string("model").value_or(""));
  if (!fields.integer("max_tokens", 1, INT32_MAX)) {
    throw_error(ErrorCode::kInvalidArgument, "max_tokens",
                "'max_tokens' is missing: expected an integer of at least 1");
  }
  const bool stream = fields.boolean("stream").value_or(false);
  ChatJob job = read_conversation(fields);
  std::vector<std::string> stops = fields.strings("stop_sequences", kStopSequencesMax);
  job.fields =
      read_generation_fields(fields, call.app.model, call.app.ids,
                             {{"max_tokens"}, engine::kAsManyAsFit, call.tenant.cache_salt});
  job.fields.base.choices = 1;
  job.fields.stops = std::move(stops);
  GenerationRequest request = make_generation(call.app, job);
  MessageOptions options{call.app.ids.make("msg_"), call.model, stream,
                         static_cast<int32_t>(request.prompts[0].prompt.size())};
  start_generation(call, std::move(request),
                   std::make_unique<MessageSurface>(call.app, call.reply, std::move(options)));
}

void count_message_tokens(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  choose_model(call, fields.string("model").value_or(""));
  const ChatPrompt prompt = make_chat_prompt(call.app, read_conversation(fields));
  call.reply->json(200, {{"input_tokens", prompt.tokens.size()}});
}

}  // namespace hearth::serve
