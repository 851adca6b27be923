#include "dialog/json_call.h"

#include <utility>

#include "base/error.h"
#include "io/json.h"

namespace hearth::dialog {
namespace {

constexpr size_t kBytesMax = size_t{4} << 20;
constexpr int kDepthMax = 100;

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// The text that a JSON string spells; false when it spells none.
bool unquote(const std::string& json, std::string& out) {
  try {
    const io::Json parsed = io::parse_json(json, "tool call");
    if (!parsed.is_string()) return false;
    out = parsed.get<std::string>();
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool is_json(const std::string& text) {
  try {
    io::parse_json(text, "tool call");
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

JsonCall::JsonCall(std::string name)
    : state_(State::kValueStart),
      field_(Field::kArguments),
      name_(std::move(name)),
      has_name_(true),
      bare_(true) {}

CallReader::Status JsonCall::feed(std::string_view& text) {
  const bool had_name = has_name_;
  while (!text.empty() && state_ != State::kDone && state_ != State::kBroken &&
         has_name_ == had_name) {
    if (++bytes_ > kBytesMax || !step(text.front())) {
      state_ = State::kBroken;
      break;
    }
    text.remove_prefix(1);
  }
  return state_ == State::kDone     ? Status::kDone
         : state_ == State::kBroken ? Status::kBroken
                                    : Status::kReading;
}

std::string JsonCall::take_arguments() {
  return has_name_ ? std::exchange(arguments_, {}) : std::string();
}

bool JsonCall::step(char c) {
  switch (state_) {
    case State::kStart:
      if (c == '{') state_ = State::kKeyOrEnd;
      return c == '{' || is_blank(c);
    case State::kKeyOrEnd:
      if (c == '}') return finish_object();
      if (c == '"') {
        token_ = c;
        escaped_ = false;
        state_ = State::kKey;
      }
      return c == '"' || is_blank(c);
    case State::kKey: {
      token_ += c;
      const bool ends = c == '"' && !escaped_;
      escaped_ = c == '\\' && !escaped_;
      if (!ends) return true;
      std::string key;
      if (!unquote(token_, key)) return false;
      field_ = key == "name"                               ? Field::kName
               : key == "arguments" || key == "parameters" ? Field::kArguments
                                                           : Field::kOther;
      if (field_ == Field::kName && has_name_) return false;
      if (field_ == Field::kArguments && has_arguments_) return false;
      state_ = State::kColon;
      return true;
    }
    case State::kColon:
      if (c == ':') state_ = State::kValueStart;
      return c == ':' || is_blank(c);
    case State::kValueStart:
      return is_blank(c) || value_start(c);
    case State::kValue:
      return value_byte(c);
    case State::kAfterValue:
      if (c == '}') return finish_object();
      if (c == ',') state_ = State::kKeyOrEnd;
      return c == ',' || is_blank(c);
    case State::kDone:
    case State::kBroken:
      return false;
  }
  return false;
}

bool JsonCall::value_start(char c) {
  if (c == ',' || c == '}' || c == ']' || c == ':') return false;
  if (field_ == Field::kName && c != '"') return false;
  if (field_ == Field::kArguments && c != '{' && c != '"' && c != 'n') return false;
  token_.clear();
  depth_ = 0;
  in_string_ = escaped_ = false;
  state_ = State::kValue;
  return value_byte(c);
}

bool JsonCall::value_byte(char c) {
  const bool is_scalar = depth_ == 0 && !in_string_ && !token_.empty();
  if (is_scalar && (c == ',' || c == '}' || is_blank(c))) return value_ended() && step(c);
  token_ += c;
  // Objects are passed on as they come; everything else waits for its end.
  const bool streams = field_ == Field::kArguments && token_.front() == '{';
  if (streams) arguments_ += c;
  if (in_string_) {
    const bool closes = c == '"' && !escaped_;
    escaped_ = c == '\\' && !escaped_;
    if (!closes) return true;
    in_string_ = false;
    return depth_ > 0 || value_ended();
  }
  if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    if (++depth_ > kDepthMax) return false;
  } else if (c == '}' || c == ']') {
    if (--depth_ < 0) return false;
    if (depth_ == 0) return value_ended();
  }
  return true;
}

bool JsonCall::value_ended() {
  state_ = State::kAfterValue;
  switch (field_) {
    case Field::kName:
      has_name_ = unquote(token_, name_) && !name_.empty();
      return has_name_;
    case Field::kArguments:
      has_arguments_ = true;
      if (bare_) state_ = State::kDone;
      if (token_.front() == '{') return is_json(token_);
      // Some models give the arguments as a string that holds their JSON.
      if (token_.front() == '"') return unquote(token_, arguments_) && is_json(arguments_);
      arguments_ = "{}";
      return token_ == "null";
    case Field::kOther:
      return is_json(token_);
  }
  return false;
}

bool JsonCall::finish_object() {
  if (!has_name_) return false;
  if (!has_arguments_) arguments_ = "{}";
  state_ = State::kDone;
  return true;
}

}  // namespace hearth::dialog
