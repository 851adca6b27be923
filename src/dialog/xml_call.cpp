#include "dialog/xml_call.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/error.h"
#include "io/json.h"

namespace hearth::dialog {
namespace {

using io::Json;

constexpr size_t kBytesMax = size_t{4} << 20;
constexpr size_t kTagBytesMax = 1024;
constexpr std::string_view kParameter = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";
constexpr std::string_view kFunctionEnd = "</function>";

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// The inside of a JSON string; bytes that are no ASCII stay as they are.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

const char* type_of(const Json& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_boolean()) return "boolean";
  if (value.is_null()) return "null";
  return value.is_number_integer() ? "integer" : "number";
}

// The JSON that `text` spells, if it is of one of the types; the text as a string otherwise.
// Models that learnt from Python write its words.
std::string as_json(std::string_view text, const std::set<std::string>& types) {
  const std::string_view bare = trimmed(text);
  const std::string spelled = bare == "True"    ? "true"
                              : bare == "False" ? "false"
                              : bare == "None"  ? "null"
                                                : std::string(bare);
  try {
    const Json value = io::parse_json(spelled, "argument");
    const std::string type = type_of(value);
    const bool fits = !value.is_string() &&
                      (types.contains(type) || (type == "integer" && types.contains("number")));
    if (fits) return spelled;
  } catch (const Error&) {
    // Not JSON: a string then.
  }
  return "\"" + escaped(text) + "\"";
}

// Bytes at the end of `text` that may belong to the closing tag, its line break included.
size_t may_close(std::string_view text) {
  const std::string closing = "\n" + std::string(kParameterEnd);
  for (size_t n = std::min(text.size(), closing.size() - 1); n > 0; --n) {
    const std::string_view tail = text.substr(text.size() - n);
    if (closing.starts_with(tail) || kParameterEnd.starts_with(tail)) return n;
  }
  return 0;
}

}  // namespace

CallReader::Status XmlCall::feed(std::string_view& text) {
  const bool had_name = has_name();
  while (!text.empty() && state_ != State::kDone && state_ != State::kBroken &&
         has_name() == had_name) {
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

std::string XmlCall::take_arguments() {
  return has_name() ? std::exchange(arguments_, {}) : std::string();
}

bool XmlCall::step(char c) {
  switch (state_) {
    case State::kOpen:
      token_ += c;
      if (token_ == kOpen) {
        token_.clear();
        state_ = State::kName;
      }
      return kOpen.starts_with(token_);
    case State::kName:
      if (c != '>') return (token_ += c).size() <= kTagBytesMax && c != '<';
      name_ = trimmed(std::exchange(token_, {}));
      arguments_ = "{";
      state_ = State::kBetween;
      return !name_.empty();
    case State::kBetween:
      if (token_.empty() && is_blank(c)) return true;
      token_ += c;
      return between();
    case State::kKey:
      if (c != '>') return (token_ += c).size() <= kTagBytesMax && c != '<';
      key_ = trimmed(std::exchange(token_, {}));
      begin_value();
      return !key_.empty();
    case State::kValueStart:
      state_ = State::kValue;
      if (c == '\n') return true;
      value_byte(c);
      return true;
    case State::kValue:
      value_byte(c);
      return true;
    case State::kDone:
    case State::kBroken:
      break;
  }
  return false;
}

bool XmlCall::between() {
  if (token_ == kParameter) {
    token_.clear();
    state_ = State::kKey;
  } else if (token_ == kFunctionEnd) {
    arguments_ += "}";
    state_ = State::kDone;
  }
  return kParameter.starts_with(token_) || kFunctionEnd.starts_with(token_);
}

std::set<std::string> XmlCall::types() const {
  for (const ToolSignature& tool : tools_) {
    const auto it = tool.parameters.find(key_);
    if (tool.name == name_ && it != tool.parameters.end()) return it->second;
  }
  return {};
}

void XmlCall::begin_value() {
  const std::set<std::string> allowed = types();
  is_string_ = std::all_of(allowed.begin(), allowed.end(),
                           [](const std::string& type) { return type == "string"; });
  arguments_ += (parameters_++ == 0 ? "\"" : ", \"") + escaped(key_) + "\": ";
  if (is_string_) arguments_ += '"';
  state_ = State::kValueStart;
}

void XmlCall::value_byte(char c) {
  token_ += c;
  if (c == '>' && token_.ends_with(kParameterEnd)) return end_value();
  if (!is_string_) return;
  const size_t told = token_.size() - may_close(token_);
  arguments_ += escaped(std::string_view(token_).substr(0, told));
  token_.erase(0, told);
}

void XmlCall::end_value() {
  token_.erase(token_.size() - kParameterEnd.size());
  if (token_.ends_with('\n')) token_.pop_back();
  const std::string text = std::exchange(token_, {});
  arguments_ += is_string_ ? escaped(text) + "\"" : as_json(text, types());
  state_ = State::kBetween;
}

}  // namespace hearth::dialog
