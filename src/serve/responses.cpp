// /v1/responses: OpenAI's newer shape, with answers that are kept and gone on from.
#include "base/error.h"
#include "io/json.h"
#include "serve/app.h"
#include "serve/chat_job.h"
#include "serve/reply_items.h"
#include "serve/response_store.h"
#include "serve/transcript.h"

namespace hearth::serve {

using io::Json;

namespace {

Json call_of_item(const Fields& item) {
  return {{"id", item.require_string("call_id")},
          {"type", "function"},
          {"function",
           {{"name", item.require_string("name")},
            {"arguments", item.string("arguments").value_or("{}")}}}};
}

// One item of `input` as chat messages; calls that follow each other are one message.
void append_item(const Json& value, const std::string& path, Json& messages) {
  const Fields item(value, path);
  const std::string type = item.string("type").value_or("message");
  if (type == "message") {
    item.require_string("role");
    const Json* content = item.find("content");
    messages.push_back({{"role", value["role"]}, {"content", content ? *content : Json("")}});
  } else if (type == "function_call") {
    Json* last = messages.empty() ? nullptr : &messages.back();
    if (!last || !last->contains("tool_calls")) {
      messages.push_back({{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array()}});
      last = &messages.back();
    }
    (*last)["tool_calls"].push_back(call_of_item(item));
  } else if (type == "function_call_output") {
    const Json* output = item.find("output");
    messages.push_back({{"role", "tool"},
                        {"tool_call_id", item.require_string("call_id")},
                        {"content", output ? *output : Json("")}});
  } else if (type != "reasoning") {
    throw_error(ErrorCode::kUnsupported, item.path_of("type"),
                "'{}': items of type '{}' are not understood; send message, function_call or "
                "function_call_output",
                item.path_of("type"), type);
  }
}

Json read_input(const Fields& fields) {
  const Json* input = fields.find("input");
  Json messages = Json::array();
  if (input && input->is_array()) {
    for (size_t i = 0; i < input->size(); ++i) {
      append_item((*input)[i], fmt::format("input[{}]", i), messages);
    }
  } else {
    messages.push_back({{"role", "user"}, {"content", fields.require_string("input")}});
  }
  return normalise_messages(messages, "input");
}

// tools and tool_choice have no inner object here.
Json translate_tools(const Fields& fields) {
  Json out = Json::object();
  if (const Json* tools = fields.array("tools")) {
    out["tools"] = Json::array();
    for (size_t i = 0; i < tools->size(); ++i) {
      const Fields tool((*tools)[i], fmt::format("tools[{}]", i));
      tool.require_string("type");
      tool.choice("type", {"function"});
      check_function(tool);
      Json function = (*tools)[i];
      function.erase("type");
      out["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
    }
  }
  for (const char* key : {"tool_choice", "parallel_tool_calls"}) {
    if (const Json* value = fields.find(key)) out[key] = *value;
  }
  return out;
}

// The shared fields stand elsewhere: text.format is response_format.
Json with_format(const Json& body, const Fields& fields) {
  Json out = body;
  if (const Json* text = fields.object("text")) {
    if (const Json* format = Fields(*text, "text").object("format"))
      out["response_format"] = *format;
  }
  return out;
}

struct ResponseOptions {
  Json head;                          // the fields of the answer that are known from the start
  Json conversation = Json::array();  // stored with the answer
  std::string tenant;
  bool stream = false;
  bool store = true;
  bool logprobs = false;
};

class ResponseSurface final : public Surface, private ItemListener {
 public:
  ResponseSurface(App& app, std::shared_ptr<Reply> reply, ResponseOptions options)
      : app_(app), reply_(std::move(reply)), options_(std::move(options)) {}

  void on_admitted() override { begin(); }
  void on_prompt_logprobs(int32_t, std::vector<TokenText>) override {}
  void on_piece(Piece piece) override {
    if (failed_) return;
    for (const TokenText& token : piece.tokens) {
      fresh_logprobs_.push_back(logprob_json(token));
      all_logprobs_.push_back(fresh_logprobs_.back());
    }
    for (const ReplyPart& part : piece.parts) items_.add(part);
  }
  void on_end(const ChoiceEnd& end) override {
    end_ = end;
    if (end.reason != engine::FinishReason::kError) return;
    failed_ = true;
    if (!reply_->streaming()) {
      return reply_->error({500, "server_error", end.error, {}, "engine_error", {}});
    }
    Json response = options_.head;
    response["status"] = "failed";
    response["error"] = {{"code", "server_error"}, {"message", end.error}};
    event("response.failed", {{"response", std::move(response)}});
    reply_->end();
  }
  void on_done(const Totals& totals) override {
    if (failed_) return;
    items_.finish();
    const Json response = whole(totals);
    if (options_.store) store(response);
    if (!options_.stream) return reply_->json(200, response);
    const bool complete = response["status"] == "completed";
    event(complete ? "response.completed" : "response.incomplete", {{"response", response}});
    reply_->end();
  }
  void on_refused(const engine::Admission& refusal) override {
    answer_refusal(app_, *reply_, refusal);
  }
  bool writable() override { return reply_->writable(); }

 private:
  void on_item(size_t index, ReplyItem& item) override {
    switch (item.kind) {
      case ReplyItem::Kind::kText:
        item.id = app_.ids.make("msg_");
        break;
      case ReplyItem::Kind::kReasoning:
        item.id = app_.ids.make("rs_");
        break;
      case ReplyItem::Kind::kCall:
        item.id = app_.ids.make("fc_");
        item.call_id = app_.ids.make("call_");
        break;
    }
    event("response.output_item.added",
          {{"output_index", index}, {"item", item_json(item, "in_progress")}});
    if (item.kind == ReplyItem::Kind::kCall) return;
    event("response.content_part.added", in_part(index, item, {{"part", part_json(item, "")}}));
  }

  void on_growth(size_t index, const ReplyItem& item, const std::string& more) override {
    if (item.kind == ReplyItem::Kind::kCall) {
      return event("response.function_call_arguments.delta",
                   {{"item_id", item.id}, {"output_index", index}, {"delta", more}});
    }
    Json fields = in_part(index, item, {{"delta", more}});
    if (item.kind == ReplyItem::Kind::kText) {
      fields["logprobs"] = std::exchange(fresh_logprobs_, Json::array());
    }
    event(text_event(item, "delta"), fields);
  }

  void on_item_end(size_t index, const ReplyItem& item) override {
    if (item.kind == ReplyItem::Kind::kCall) {
      event("response.function_call_arguments.done", {{"item_id", item.id},
                                                      {"output_index", index},
                                                      {"name", item.name},
                                                      {"arguments", item.text}});
    } else {
      Json fields = in_part(index, item, {{"text", item.text}});
      if (item.kind == ReplyItem::Kind::kText) fields["logprobs"] = Json::array();
      event(text_event(item, "done"), fields);
      event("response.content_part.done",
            in_part(index, item, {{"part", part_json(item, item.text)}}));
    }
    event("response.output_item.done",
          {{"output_index", index}, {"item", item_json(item, status_of(index))}});
  }

  bool is_cut() const { return end_.reason == engine::FinishReason::kLength; }

  // A cut falls into the last item; an item that ends before has ended by itself.
  const char* status_of(size_t index) const {
    return is_cut() && index + 1 == items_.items().size() ? "incomplete" : "completed";
  }

  static std::string text_event(const ReplyItem& item, const char* what) {
    const bool text = item.kind == ReplyItem::Kind::kText;
    return std::string(text ? "response.output_text." : "response.reasoning_text.") + what;
  }

  static Json in_part(size_t index, const ReplyItem& item, const Json& more) {
    Json out = {{"item_id", item.id}, {"output_index", index}, {"content_index", 0}};
    out.update(more);
    return out;
  }

  Json part_json(const ReplyItem& item, const std::string& text) const {
    if (item.kind == ReplyItem::Kind::kReasoning) {
      return {{"type", "reasoning_text"}, {"text", text}};
    }
    return {{"type", "output_text"},
            {"text", text},
            {"annotations", Json::array()},
            {"logprobs", text.empty() ? Json::array() : all_logprobs_}};
  }

  Json item_json(const ReplyItem& item, const char* status) const {
    const bool done = std::string_view(status) != "in_progress";
    switch (item.kind) {
      case ReplyItem::Kind::kCall:
        return {{"type", "function_call"}, {"id", item.id},          {"call_id", item.call_id},
                {"name", item.name},       {"arguments", item.text}, {"status", status}};
      case ReplyItem::Kind::kReasoning:
        return {{"type", "reasoning"},
                {"id", item.id},
                {"summary", Json::array()},
                {"content", done ? Json::array({part_json(item, item.text)}) : Json::array()},
                {"status", status}};
      case ReplyItem::Kind::kText:
        break;
    }
    return {{"type", "message"},
            {"id", item.id},
            {"status", status},
            {"role", "assistant"},
            {"content", done ? Json::array({part_json(item, item.text)}) : Json::array()}};
  }

  void begin() {
    if (!options_.stream) return;
    reply_->begin_events();
    event("response.created", {{"response", options_.head}});
    event("response.in_progress", {{"response", options_.head}});
  }

  Json whole(const Totals& totals) const {
    Json response = options_.head;
    response["status"] = is_cut() ? "incomplete" : "completed";
    if (is_cut()) response["incomplete_details"] = {{"reason", "max_output_tokens"}};
    for (size_t i = 0; i < items_.items().size(); ++i) {
      response["output"].push_back(item_json(items_.items()[i], status_of(i)));
    }
    response["usage"] = {{"input_tokens", totals.prompt_tokens},
                         {"input_tokens_details", {{"cached_tokens", totals.cached_tokens}}},
                         {"output_tokens", totals.output_tokens},
                         {"output_tokens_details", {{"reasoning_tokens", totals.reasoning_tokens}}},
                         {"total_tokens", totals.prompt_tokens + totals.output_tokens}};
    return response;
  }

  void store(const Json& response) {
    Json message = {{"role", "assistant"}, {"content", ""}};
    for (const ReplyItem& item : items_.items()) {
      if (item.kind == ReplyItem::Kind::kText) {
        message["content"] = message["content"].get<std::string>() + item.text;
      } else if (item.kind == ReplyItem::Kind::kCall) {
        message["tool_calls"].push_back(
            {{"id", item.call_id},
             {"type", "function"},
             {"function", {{"name", item.name}, {"arguments", item.text}}}});
      }
    }
    options_.conversation.push_back(std::move(message));
    app_.responses.put({response["id"], options_.tenant, response["created_at"],
                        io::dump_json(response), io::dump_json(options_.conversation)});
  }

  void event(const std::string& type, const Json& fields) {
    if (!options_.stream) return;
    Json data = {{"type", type}, {"sequence_number", sequence_++}};
    data.update(fields);
    reply_->event(type, data);
  }

  App& app_;
  const std::shared_ptr<Reply> reply_;
  ResponseOptions options_;
  ReplyItems items_{*this};
  ChoiceEnd end_;
  Json fresh_logprobs_ = Json::array();
  Json all_logprobs_ = Json::array();
  int sequence_ = 0;
  bool failed_ = false;
};

Json field_or(const Fields& fields, const char* key, Json fallback) {
  const Json* value = fields.find(key);
  return value ? *value : std::move(fallback);
}

Json make_head(const Call& call, const Fields& fields, const engine::SamplingParams& sampling) {
  return {{"id", call.app.ids.make("resp_")},
          {"object", "response"},
          {"created_at", call.now_s()},
          {"status", "in_progress"},
          {"background", false},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"instructions", field_or(fields, "instructions", nullptr)},
          {"max_output_tokens", field_or(fields, "max_output_tokens", nullptr)},
          {"model", call.model},
          {"output", Json::array()},
          {"parallel_tool_calls", field_or(fields, "parallel_tool_calls", true)},
          {"previous_response_id", field_or(fields, "previous_response_id", nullptr)},
          {"reasoning", field_or(fields, "reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
          {"store", field_or(fields, "store", true)},
          {"temperature", sampling.temperature},
          {"text", field_or(fields, "text", {{"format", {{"type", "text"}}}})},
          {"tool_choice", field_or(fields, "tool_choice", "auto")},
          {"tools", field_or(fields, "tools", Json::array())},
          {"top_p", sampling.top_p},
          {"truncation", "disabled"},
          {"usage", nullptr},
          {"user", field_or(fields, "user", nullptr)},
          {"metadata", field_or(fields, "metadata", Json::object())}};
}

Json earlier_messages(Call& call, const std::string& id) {
  const auto stored = call.app.responses.find(id, call.tenant.name);
  if (!stored) {
    throw_error(ErrorCode::kNotFound, "previous_response_id",
                "there is no stored response '{}'; was it made with 'store': false?", id);
  }
  return io::parse_json(stored->conversation, "stored conversation");
}

}  // namespace

void create_response(Call& call) {
  const Json body = call.json_body();
  const Fields fields(body);
  choose_model(call, fields.string("model").value_or(""));
  if (fields.boolean("background").value_or(false)) {
    throw_error(ErrorCode::kUnsupported, "background", "'background' is not supported");
  }
  ResponseOptions options;
  options.stream = fields.boolean("stream").value_or(false);
  options.store = fields.boolean("store").value_or(true);
  options.tenant = call.tenant.name;
  if (const auto previous = fields.string("previous_response_id")) {
    options.conversation = earlier_messages(call, *previous);
  }
  for (Json& message : read_input(fields)) options.conversation.push_back(std::move(message));

  ChatJob job;
  if (const auto instructions = fields.string("instructions")) {
    job.messages.push_back({{"role", "system"}, {"content", *instructions}});
  }
  for (const Json& message : options.conversation) job.messages.push_back(message);
  job.messages = normalise_messages(job.messages, "input");
  const Json tools = translate_tools(fields);
  read_tools(Fields(tools), job);
  const Json shared = with_format(body, fields);
  job.fields =
      read_generation_fields(Fields(shared), call.app.model, call.app.ids,
                             {{"max_output_tokens"}, engine::kAsManyAsFit, call.tenant.cache_salt});
  job.fields.base.choices = 1;
  if (const auto top = fields.integer("top_logprobs", 0, 20)) {
    job.logprobs = true;
    job.fields.base.sampling.logprobs = static_cast<int32_t>(*top);
  }
  options.head = make_head(call, fields, job.fields.base.sampling);
  GenerationRequest request = make_generation(call.app, job);
  start_generation(call, std::move(request),
                   std::make_unique<ResponseSurface>(call.app, call.reply, std::move(options)));
}

void get_response(Call& call) {
  const auto stored = call.app.responses.find(call.path["id"], call.tenant.name);
  if (!stored) {
    throw_error(ErrorCode::kNotFound, "id", "there is no stored response '{}'", call.path["id"]);
  }
  call.reply->raw({200, {{"Content-Type", "application/json"}}, stored->response});
}

void delete_response(Call& call) {
  if (!call.app.responses.erase(call.path["id"], call.tenant.name)) {
    throw_error(ErrorCode::kNotFound, "id", "there is no stored response '{}'", call.path["id"]);
  }
  call.reply->json(200, {{"id", call.path["id"]}, {"object", "response"}, {"deleted", true}});
}

}  // namespace hearth::serve
