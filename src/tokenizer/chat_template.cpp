#include "tokenizer/chat_template.h"

#include <algorithm>

#include "base/error.h"
#include "io/gguf.h"
#include "io/json.h"

namespace hearth::tokenizer {
namespace {

using io::Json;

constexpr const char* kDefault = "default";
constexpr const char* kToolUse = "tool_use";
constexpr const char* kContinueTag = "CONTINUE_FINAL_MESSAGE_TAG ";
// Words that no template contains, to be looked for in what it renders.
constexpr const char* kNeedle = "hearthprobe";
constexpr const char* kToolNeedle = "hearthtool";
constexpr const char* kCallNeedle = "hearthcall";
constexpr const char* kArgumentNeedle = "heartharg";

// For models without a template: base models continue a transcript best when it looks like one.
constexpr const char* kFallback =
    "{{ bos_token }}{% for message in messages %}{{ message.role | capitalize }}: "
    "{{ message.content | trim }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

Json message(const char* role, Json content) {
  return {{"role", role}, {"content", std::move(content)}};
}

Json text_parts(const Json& text) { return Json::array({{{"type", "text"}, {"text", text}}}); }

Json probe_tool() {
  const Json parameters = {{"type", "object"}, {"properties", Json::object()}};
  return {{"type", "function"},
          {"function",
           {{"name", kToolNeedle}, {"description", "A probe."}, {"parameters", parameters}}}};
}

Json probe_call(Json arguments, Json content) {
  Json out = message("assistant", std::move(content));
  // Nine letters and digits: one published template insists on ids of that form.
  out["tool_calls"] =
      Json::array({{{"id", "probe0001"},
                    {"type", "function"},
                    {"function", {{"name", kCallNeedle}, {"arguments", std::move(arguments)}}}}});
  return out;
}

Json probe_result() {
  Json out = message("tool", kNeedle);
  out["tool_call_id"] = "probe0001";
  out["name"] = kCallNeedle;
  return out;
}

// Text parts joined with newlines; other parts have no text form.
Json flattened(const Json& content) {
  std::string text;
  for (const Json& part : content) {
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) continue;
    if (!text.empty()) text += "\n";
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

void adapt_arguments(Json& message, const ChatCapabilities& can) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || !calls->is_array()) return;
  for (Json& call : *calls) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
    Json& function = call["function"];
    const auto arguments = function.find("arguments");
    if (arguments == function.end()) continue;
    if (can.object_arguments && arguments->is_string()) {
      try {
        *arguments = io::parse_json(arguments->get_ref<const std::string&>(), "arguments");
      } catch (const Error&) {
        continue;  // what a model wrote need not be JSON: the template shows it as it is
      }
    } else if (!can.object_arguments && !arguments->is_string()) {
      *arguments = io::dump_json(*arguments);
    }
  }
}

void adapt_content(Json& message, const ChatCapabilities& can) {
  const auto content = message.find("content");
  const bool empty = content == message.end() || content->is_null() || *content == "";
  if (empty && message.contains("tool_calls")) {
    const bool was_null = content == message.end() || content->is_null();
    if (was_null && !can.null_content) message["content"] = "";
    if (!was_null && !can.empty_content) message["content"] = Json();
  } else if (content == message.end() || content->is_null()) {
    message["content"] = "";
  } else if (content->is_array() && !can.content_parts) {
    *content = flattened(*content);
  } else if (content->is_string() && !can.content_text) {
    *content = text_parts(*content);
  }
}

// A template that refuses system messages gets their text at the head of the first user message.
void fold_system(Json& messages) {
  if (messages.size() < 2 || messages[0].value("role", "") != "system") return;
  Json& next = messages[1];
  if (next.value("role", "") != "user") return;
  const auto as_text = [](const Json& content) {
    return content.is_array() ? flattened(content) : content;
  };
  const Json head = as_text(messages[0]["content"]);
  if (!head.is_string()) return;
  if (next["content"].is_array()) {
    next["content"].insert(next["content"].begin(), text_parts(head)[0]);
  } else if (next["content"].is_string()) {
    next["content"] = head.get<std::string>() + "\n\n" + next["content"].get<std::string>();
  }
  messages.erase(messages.begin());
}

std::string trimmed_end(std::string text) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

// Marks where the last message ends.
void tag_final_message(Json& messages) {
  if (messages.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "messages", "there is no final message to continue");
  }
  Json& content = messages.back()["content"];
  if (content.is_string()) {
    content = content.get<std::string>() + kContinueTag;
    return;
  }
  for (size_t i = content.is_array() ? content.size() : 0; i > 0; --i) {
    Json& part = content[i - 1];
    if (!part.is_object() || !part.contains("text") || !part["text"].is_string()) continue;
    part["text"] = part["text"].get<std::string>() + kContinueTag;
    return;
  }
  throw_error(ErrorCode::kInvalidArgument, "messages",
              "the final message has no text to continue; give it some, or set "
              "continue_final_message to false");
}

std::string cut_at_tag(std::string text) {
  const std::string tag = kContinueTag;
  const size_t at = text.rfind(trimmed_end(tag));
  if (at == std::string::npos) {
    throw_error(ErrorCode::kInvalidArgument, "messages",
                "the chat template does not show the final message, so it can not be continued");
  }
  const bool keeps_space = text.compare(at, tag.size(), tag) == 0;
  text.resize(at);
  return keeps_space ? text : trimmed_end(std::move(text));
}

// bos_token and the like: a string, or an object with the text in `content`.
Json special_tokens_of(const Json& config) {
  Json out = Json::object();
  for (const auto& [key, value] : config.items()) {
    if (!key.ends_with("_token")) continue;
    if (value.is_string()) out[key] = value;
    if (value.is_object() && value.contains("content")) out[key] = value["content"];
  }
  return out;
}

void add_templates(const Json& json, const std::string& where, ChatTemplateText& out) {
  if (json.is_string()) {
    out.named[kDefault] = json.get<std::string>();
  } else if (json.is_array()) {
    for (const Json& entry : json) {
      if (!entry.is_object()) {
        throw_error(ErrorCode::kInvalidArgument, where,
                    "chat_template: expected objects with 'name' and 'template'");
      }
      out.named[io::json_require<std::string>(entry, "name", where)] =
          io::json_require<std::string>(entry, "template", where);
    }
  } else if (!json.is_null()) {
    throw_error(ErrorCode::kInvalidArgument, where,
                "chat_template: expected a string or a list of named templates, found {}",
                json.type_name());
  }
}

ChatTemplateText text_of_gguf(const io::GgufMetadata& metadata) {
  ChatTemplateText text;
  text.where = metadata.where() + " (tokenizer.chat_template)";
  const std::string key = "tokenizer.chat_template";
  if (const auto main = metadata.text(key)) text.named[kDefault] = std::string(*main);
  if (const auto tools = metadata.text(key + "." + kToolUse)) {
    text.named[kToolUse] = std::string(*tools);
  }
  Json special = Json::object();
  const auto tokens = metadata.strings("tokenizer.ggml.tokens");
  for (const char* name : {"bos", "eos", "unknown", "padding"}) {
    const auto id = metadata.integer(fmt::format("tokenizer.ggml.{}_token_id", name));
    if (!tokens || !id || *id < 0 || *id >= static_cast<int64_t>(tokens->size())) continue;
    const std::string_view called = name == std::string_view("unknown")   ? "unk"
                                    : name == std::string_view("padding") ? "pad"
                                                                          : name;
    special[fmt::format("{}_token", called)] = std::string((*tokens)[static_cast<size_t>(*id)]);
  }
  text.special_tokens = std::make_shared<const Json>(std::move(special));
  return text;
}

ChatTemplateText text_of_config(const Json& config, const std::string& where) {
  ChatTemplateText out;
  out.where = where;
  if (!config.is_object()) return out;
  out.special_tokens = std::make_shared<const Json>(special_tokens_of(config));
  const auto found = config.find("chat_template");
  if (found != config.end()) add_templates(*found, where, out);
  return out;
}

}  // namespace

ChatTemplate::ChatTemplate(ChatTemplateText text)
    : special_tokens_(std::move(text.special_tokens)), where_(std::move(text.where)) {
  if (text.named.empty()) {
    fallback_ = true;
    text.named[kDefault] = kFallback;
  }
  for (auto& [name, source] : text.named) {
    const std::string label = text.named.size() == 1 ? "chat template" : "chat template " + name;
    jinja::Template parsed(source, where_.empty() ? label : where_ + ": " + label);
    entries_.emplace(name, Entry{std::move(source), std::move(parsed)});
  }
  capabilities_ = probe();
}

ChatTemplate ChatTemplate::from_config(const Json& config, const std::string& where) {
  return ChatTemplate(text_of_config(config, where));
}

ChatTemplate ChatTemplate::load(io::FileSource& files) {
  if (files.has(io::kGgufFile)) {
    return ChatTemplate(text_of_gguf(
        io::parse_gguf(files.bytes(io::kGgufFile), files.where(io::kGgufFile)).metadata));
  }
  constexpr const char* kConfigFile = "tokenizer_config.json";
  constexpr const char* kJinjaFile = "chat_template.jinja";
  constexpr const char* kJsonFile = "chat_template.json";
  constexpr const char* kToolUseFile = "additional_chat_templates/tool_use.jinja";
  ChatTemplateText text;
  if (files.has(kConfigFile)) {
    const std::string where = files.where(kConfigFile);
    text = text_of_config(io::parse_json(files.text(kConfigFile), where), where);
  }
  if (files.has(kJinjaFile)) {
    text.where = files.where(kJinjaFile);
    text.named = {{kDefault, std::string(files.text(kJinjaFile))}};
    if (files.has(kToolUseFile)) text.named[kToolUse] = std::string(files.text(kToolUseFile));
  } else if (files.has(kJsonFile)) {
    text.where = files.where(kJsonFile);
    text.named.clear();
    const Json json = io::parse_json(files.text(kJsonFile), text.where);
    add_templates(json.is_object() ? json.value("chat_template", Json()) : json, text.where, text);
  }
  return ChatTemplate(std::move(text));
}

const ChatTemplate::Entry& ChatTemplate::pick(Purpose purpose) const {
  const auto tools = entries_.find(kToolUse);
  if (purpose == Purpose::kTools && tools != entries_.end()) return tools->second;
  const auto found = entries_.find(kDefault);
  return found != entries_.end() ? found->second : entries_.begin()->second;
}

const std::string& ChatTemplate::source() const { return pick(Purpose::kTools).source; }

std::map<std::string, std::string> ChatTemplate::sources() const {
  std::map<std::string, std::string> sources;
  for (const auto& [name, entry] : entries_) sources[name] = entry.source;
  return sources;
}

std::vector<std::string> ChatTemplate::stops() const {
  if (!fallback_) return {};
  return {"\nUser:", "\nSystem:"};
}

std::string ChatTemplate::render_raw(const ChatRender& input, Purpose purpose) const {
  Json variables = special_tokens_ != nullptr ? *special_tokens_ : Json::object();
  if (input.kwargs != nullptr && input.kwargs->is_object()) {
    for (const auto& [key, value] : input.kwargs->items()) variables[key] = value;
  }
  variables["messages"] = input.messages;
  variables["tools"] = input.tools != nullptr ? *input.tools : Json();
  variables["documents"] = input.documents != nullptr ? *input.documents : Json();
  variables["add_generation_prompt"] = input.add_generation_prompt;
  return pick(purpose).parsed.render(variables, input.now_seconds);
}

std::string ChatTemplate::render(const ChatRender& input) const {
  if (!input.messages.is_array()) {
    throw_error(ErrorCode::kInvalidArgument, "messages", "expected an array, found {}",
                input.messages.type_name());
  }
  const bool has_tools = input.tools != nullptr && !input.tools->empty();
  Json messages = adapt(input.messages);
  if (input.continue_final_message) tag_final_message(messages);
  const ChatRender adapted{
      .messages = messages,
      .tools = has_tools ? input.tools : nullptr,
      .documents = input.documents,
      .kwargs = input.kwargs,
      .add_generation_prompt = input.add_generation_prompt && !input.continue_final_message,
      .now_seconds = input.now_seconds};
  std::string text = render_raw(adapted, has_tools ? Purpose::kTools : Purpose::kPlain);
  return input.continue_final_message ? cut_at_tag(std::move(text)) : text;
}

Json ChatTemplate::adapt(const Json& messages) const {
  Json out = messages;
  const bool knows_developer = source().find("developer") != std::string::npos;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!out[i].is_object() || !out[i].contains("role") || !out[i]["role"].is_string()) {
      throw_error(ErrorCode::kInvalidArgument, fmt::format("messages[{}]", i),
                  "expected an object with a 'role'");
    }
    if (out[i]["role"] == "developer" && !knows_developer) out[i]["role"] = "system";
    adapt_arguments(out[i], capabilities_);
    adapt_content(out[i], capabilities_);
  }
  if (!capabilities_.system_role) fold_system(out);
  return out;
}

bool ChatTemplate::shows(const Json& messages, const Json* tools, const std::string& needle) const {
  try {
    const ChatRender input{.messages = messages, .tools = tools};
    const Purpose purpose = tools != nullptr ? Purpose::kTools : Purpose::kPlain;
    return render_raw(input, purpose).find(needle) != std::string::npos;
  } catch (const Error&) {
    return false;
  }
}

ChatCapabilities ChatTemplate::probe() const {
  const Json user = message("user", "a");
  const Json answer = message("assistant", "b");
  const Json said = message("user", kNeedle);
  const Json parts = Json::array({message("user", text_parts(kNeedle))});
  const Json tools = Json::array({probe_tool()});
  const auto called = [&](const Json& arguments, const Json& content) {
    return Json::array({user, probe_call(arguments, content), probe_result(), answer, user});
  };
  const Json object = {{kArgumentNeedle, 1}};
  const std::string text = io::dump_json(object);
  const std::string python_key = "'" + std::string(kArgumentNeedle) + "'";

  ChatCapabilities can;
  // A template that only prints the list shows the quotes of its text.
  can.content_parts = shows(parts, nullptr, kNeedle) &&
                      !shows(parts, nullptr, "'" + std::string(kNeedle)) &&
                      !shows(parts, nullptr, "\"" + std::string(kNeedle));
  can.content_text = shows(Json::array({said}), nullptr, kNeedle) || !can.content_parts;
  can.system_role = shows(Json::array({message("system", kNeedle), user}), nullptr, kNeedle);
  can.tools = shows(Json::array({user}), &tools, kToolNeedle);
  const auto shows_call = [&](const Json& arguments, const Json& content) {
    const Json messages = called(arguments, content);
    return shows(messages, &tools, kCallNeedle) && !shows(messages, &tools, python_key) &&
           (content == "" || !shows(messages, &tools, "None"));
  };
  const bool with_object = shows_call(object, "") || shows_call(object, Json());
  const bool with_text = shows_call(text, "") || shows_call(text, Json());
  can.tool_calls = with_object || with_text;
  can.object_arguments = with_object || !with_text;
  const Json arguments = can.object_arguments ? object : Json(text);
  can.null_content = shows_call(arguments, Json());
  can.empty_content = shows_call(arguments, "") || !can.null_content;
  const Json content = can.empty_content ? Json("") : Json();
  can.tool_role = shows(called(arguments, content), &tools, kNeedle);
  can.alternate_roles = !shows(Json::array({user, said}), nullptr, kNeedle) &&
                        shows(Json::array({user, answer, said}), nullptr, kNeedle);
  can.reasoning = source().find("<think>") != std::string::npos ||
                  source().find("reasoning_content") != std::string::npos;
  return can;
}

}  // namespace hearth::tokenizer
