#include "dialog/reply_parser.h"

#include <algorithm>
#include <utility>

#include "dialog/json_call.h"
#include "dialog/xml_call.h"

namespace hearth::dialog {
namespace {

constexpr size_t kHeaderBytesMax = 1024;  // of a name that stands before its arguments

constexpr std::string_view kCallOpen = "<tool_call>";
constexpr std::string_view kCallClose = "</tool_call>";

bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

size_t leading_space(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && is_blank(text[n])) ++n;
  return n;
}

size_t trailing_space(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && is_blank(text[text.size() - 1 - n])) ++n;
  return n;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(leading_space(text));
  text.remove_suffix(trailing_space(text));
  return text;
}

// The <tool_call> form is understood beside each model's own: forced calls are written in it.
std::vector<std::string_view> openers_of(ToolSyntax syntax) {
  switch (syntax) {
    case ToolSyntax::kLlama:
      return {"<|python_tag|>", kCallOpen};
    case ToolSyntax::kMistral:
      return {"[TOOL_CALLS]", kCallOpen};
    case ToolSyntax::kPhi:
      return {"functools[", "<|tool_call|>", kCallOpen};
    case ToolSyntax::kDeepSeek:
      return {"<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", kCallOpen};
    case ToolSyntax::kPythonic:
      return {"<|python_start|>", kCallOpen};
    case ToolSyntax::kXml:
      return {kCallOpen, "<seed:tool_call>", XmlCall::kOpen};
    default:
      return {kCallOpen};
  }
}

std::vector<std::string_view> closers_of(ToolSyntax syntax) {
  switch (syntax) {
    case ToolSyntax::kPhi:
      return {"<|/tool_call|>", kCallClose};
    case ToolSyntax::kDeepSeek:
      return {"```", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", kCallClose};
    case ToolSyntax::kPythonic:
      return {"<|python_end|>", kCallClose};
    case ToolSyntax::kXml:
      return {kCallClose, "</seed:tool_call>"};
    default:
      return {kCallClose};
  }
}

// Bytes at the end of text that may be the start of one of the markers.
size_t partial_marker(std::string_view text, const std::vector<std::string_view>& markers) {
  size_t longest = 0;
  for (std::string_view marker : markers) {
    for (size_t n = std::min(text.size(), marker.size() - 1); n > longest; --n) {
      if (text.substr(text.size() - n) == marker.substr(0, n)) longest = n;
    }
  }
  return longest;
}

// What a call's marker and its first bytes have in common: the bracket of functools[ is the start
// of the list, <function= is all of it.
size_t shared_with_call(std::string_view marker) {
  if (marker == XmlCall::kOpen) return marker.size();
  return marker.back() == '[' ? 1 : 0;
}

// Size of the marker that text starts with, or 0.
size_t marker_at_start(std::string_view text, const std::vector<std::string_view>& markers) {
  for (std::string_view marker : markers) {
    if (text.starts_with(marker)) return marker.size();
  }
  return 0;
}

bool may_become(std::string_view text, const std::vector<std::string_view>& markers) {
  return std::any_of(markers.begin(), markers.end(),
                     [&](std::string_view marker) { return marker.starts_with(text); });
}

// The name in what stands before the arguments; empty when there is none.
std::string name_in_header(ToolSyntax syntax, std::string_view header) {
  if (syntax == ToolSyntax::kMistral) {
    return std::string(trimmed(header.substr(0, header.find('['))));
  }
  constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
  constexpr std::string_view kBegin = "<｜tool▁call▁begin｜>";
  const size_t separator = header.find(kSeparator);
  if (separator == std::string_view::npos) return {};
  std::string_view before = trimmed(header.substr(0, separator));
  if (before.starts_with(kBegin)) before = trimmed(before.substr(kBegin.size()));
  const std::string_view after = trimmed(header.substr(separator + kSeparator.size()));
  return std::string(after.empty() ? before : trimmed(after.substr(0, after.find('\n'))));
}

bool names_come_first(ToolSyntax syntax) {
  return syntax == ToolSyntax::kMistral || syntax == ToolSyntax::kDeepSeek;
}

}  // namespace

ReplyParser::ReplyParser(ReplyFormat format, std::vector<ToolSignature> tools,
                         std::string_view prompt)
    : format_(std::move(format)),
      tools_(std::make_shared<const std::vector<ToolSignature>>(std::move(tools))) {
  if (!tools_->empty()) {
    openers_ = openers_of(format_.tools);
    closers_ = closers_of(format_.tools);
  }
  if (!format_.think_start.empty() && trimmed(prompt).ends_with(format_.think_start)) {
    state_ = State::kReasoning;
    drop_space_ = true;
  }
}

std::vector<Part> ReplyParser::feed(std::string_view text) {
  pending_ += text;
  while (step() == Step::kAgain) {
  }
  return std::exchange(out_, {});
}

std::vector<Part> ReplyParser::finish() {
  ended_ = true;
  while (step() == Step::kAgain) {
  }
  if (!drop_space_ && !space_.empty()) {
    out_.push_back({.kind = Part::Kind::kText, .text = std::exchange(space_, {})});
  }
  return std::exchange(out_, {});
}

ReplyParser::Step ReplyParser::step() {
  if (pending_.empty() && !ended_) return Step::kWait;
  switch (state_) {
    case State::kStart:
      return start();
    case State::kReasoning:
      return reasoning();
    case State::kText:
      return text();
    case State::kBody:
      return body();
    case State::kCall:
      return call();
    case State::kAfterCall:
      return after_call();
    case State::kPythonic:
      return pythonic();
  }
  return Step::kWait;
}

ReplyParser::Step ReplyParser::start() {
  const size_t blank = leading_space(pending_);
  space_ += pending_.substr(0, blank);
  pending_.erase(0, blank);
  if (pending_.empty()) return Step::kWait;
  const std::string& think = format_.think_start;
  if (!think.empty() && pending_.starts_with(think)) {
    pending_.erase(0, think.size());
    space_.clear();
    drop_space_ = true;
    state_ = State::kReasoning;
    return Step::kAgain;
  }
  if (!think.empty() && !ended_ && think.starts_with(pending_)) return Step::kWait;
  const bool llama = format_.tools == ToolSyntax::kLlama && pending_[0] == '{';
  const bool python = format_.tools == ToolSyntax::kPythonic && pending_[0] == '[';
  if (!tools_->empty() && (llama || python)) {
    marked_ = false;
    if (llama) return begin_call(std::make_unique<JsonCall>());
    python_.emplace();
    state_ = State::kPythonic;
    return Step::kAgain;
  }
  state_ = State::kText;
  return Step::kAgain;
}

ReplyParser::Step ReplyParser::reasoning() {
  const size_t end = pending_.find(format_.think_end);
  if (end == std::string::npos) {
    const size_t held = ended_ ? 0 : partial_marker(pending_, {format_.think_end});
    emit(Part::Kind::kReasoning, std::string_view(pending_).substr(0, pending_.size() - held));
    pending_.erase(0, pending_.size() - held);
    if (ended_) space_.clear();
    return Step::kWait;
  }
  emit(Part::Kind::kReasoning, std::string_view(pending_).substr(0, end));
  pending_.erase(0, end + format_.think_end.size());
  space_.clear();
  drop_space_ = true;
  state_ = State::kStart;
  return Step::kAgain;
}

ReplyParser::Step ReplyParser::text() {
  size_t at = std::string::npos;
  std::string_view found;
  for (std::string_view opener : openers_) {
    const size_t hit = pending_.find(opener);
    if (hit < at) {
      at = hit;
      found = opener;
    }
  }
  if (at == std::string::npos) {
    const size_t held = ended_ ? 0 : partial_marker(pending_, openers_);
    emit(Part::Kind::kText, std::string_view(pending_).substr(0, pending_.size() - held));
    pending_.erase(0, pending_.size() - held);
    return Step::kWait;
  }
  emit(Part::Kind::kText, std::string_view(pending_).substr(0, at));
  pending_.erase(0, at);
  take(found.size() - shared_with_call(found));
  marked_ = true;
  state_ = State::kBody;
  return Step::kAgain;
}

ReplyParser::Step ReplyParser::body() {
  take(leading_space(pending_));
  if (pending_.empty()) return ended_ ? give_up_call() : Step::kWait;
  const char c = pending_[0];
  if (c == '{') return begin_call(std::make_unique<JsonCall>());
  if (c == '<' && format_.tools == ToolSyntax::kXml) {
    return begin_call(std::make_unique<XmlCall>(*tools_));
  }
  if (c == '[' && format_.tools == ToolSyntax::kPythonic) {
    python_.emplace();
    state_ = State::kPythonic;
    return Step::kAgain;
  }
  if (c == '[' && !in_array_) {
    in_array_ = true;
    take(1);
    return Step::kAgain;
  }
  return names_come_first(format_.tools) && !in_array_ ? name_first() : give_up_call();
}

ReplyParser::Step ReplyParser::name_first() {
  const size_t brace = pending_.find('{');
  if (brace == std::string::npos) {
    return ended_ || pending_.size() > kHeaderBytesMax ? give_up_call() : Step::kWait;
  }
  const std::string name =
      name_in_header(format_.tools, std::string_view(pending_).substr(0, brace));
  if (name.empty()) return give_up_call();
  take(brace);
  return begin_call(std::make_unique<JsonCall>(name));
}

ReplyParser::Step ReplyParser::begin_call(std::unique_ptr<CallReader> call) {
  call_ = std::move(call);
  announced_ = false;
  state_ = State::kCall;
  return Step::kAgain;
}

ReplyParser::Step ReplyParser::call() {
  std::string_view rest = pending_;
  const CallReader::Status status = call_->feed(rest);
  take(pending_.size() - rest.size());
  if (call_->has_name() && !announced_) {
    if (!marked_ && !knows(call_->name())) return give_up_call();
    announce(call_->name());
  }
  if (announced_) {
    std::string arguments = call_->take_arguments();
    if (!arguments.empty()) {
      out_.push_back(
          {.kind = Part::Kind::kArguments, .text = std::move(arguments), .tool_index = calls_ - 1});
    }
  }
  if (status == CallReader::Status::kBroken) return give_up_call();
  if (status == CallReader::Status::kReading) {
    if (!pending_.empty()) return Step::kAgain;
    return ended_ ? give_up_call() : Step::kWait;
  }
  raw_.clear();
  announced_ = false;
  state_ = State::kAfterCall;
  return Step::kAgain;
}

ReplyParser::Step ReplyParser::after_call() {
  const size_t blank = leading_space(pending_);
  pending_.erase(0, blank);
  if (pending_.empty()) return Step::kWait;
  const char c = pending_[0];
  if (in_array_ && (c == ',' || c == ']')) {
    pending_.erase(0, 1);
    if (c == ']') in_array_ = false;
    return Step::kAgain;
  }
  if (c == '{' && (in_array_ || format_.tools == ToolSyntax::kLlama)) {
    return begin_call(std::make_unique<JsonCall>());
  }
  if (c == ';' && format_.tools == ToolSyntax::kLlama) {
    pending_.erase(0, 1);
    return Step::kAgain;
  }
  if (const size_t closer = marker_at_start(pending_, closers_); closer != 0) {
    pending_.erase(0, closer);
    return Step::kAgain;
  }
  if (may_become(pending_, closers_)) {
    if (ended_) pending_.clear();
    return Step::kWait;
  }
  in_array_ = false;
  state_ = State::kText;
  return Step::kAgain;
}

ReplyParser::Step ReplyParser::pythonic() {
  std::string_view rest = pending_;
  const PythonicCalls::Status status = python_->feed(rest);
  take(pending_.size() - rest.size());
  if (status == PythonicCalls::Status::kReading) return ended_ ? give_up_call() : Step::kWait;
  const auto known = [&](const auto& call) { return knows(call.first); };
  const auto& calls = python_->calls();
  if (status == PythonicCalls::Status::kBroken || !std::all_of(calls.begin(), calls.end(), known)) {
    return give_up_call();
  }
  for (const auto& [name, arguments] : calls) {
    announce(name);
    out_.push_back({.kind = Part::Kind::kArguments, .text = arguments, .tool_index = calls_ - 1});
  }
  raw_.clear();
  announced_ = false;
  state_ = State::kAfterCall;
  return Step::kAgain;
}

// What was told of a call can not be taken back; everything else becomes text again.
ReplyParser::Step ReplyParser::give_up_call() {
  const std::string raw = std::exchange(raw_, {});
  if (!announced_) emit(Part::Kind::kText, raw);
  announced_ = false;
  in_array_ = false;
  state_ = State::kText;
  return Step::kAgain;
}

void ReplyParser::announce(const std::string& name) {
  announced_ = true;
  space_.clear();
  drop_space_ = true;
  out_.push_back({.kind = Part::Kind::kToolCall, .text = {}, .tool_index = calls_++, .name = name});
}

void ReplyParser::emit(Part::Kind kind, std::string_view text) {
  const size_t trailing = trailing_space(text);
  if (trailing == text.size()) {
    space_ += text;
    return;
  }
  std::string told = drop_space_ ? std::string() : space_;
  std::string_view shown = text.substr(0, text.size() - trailing);
  if (drop_space_) shown.remove_prefix(leading_space(shown));
  told += shown;
  space_ = text.substr(text.size() - trailing);
  drop_space_ = false;
  if (!out_.empty() && out_.back().kind == kind) {
    out_.back().text += told;
  } else {
    out_.push_back({.kind = kind, .text = std::move(told)});
  }
}

void ReplyParser::take(size_t bytes) {
  raw_.append(pending_, 0, bytes);
  pending_.erase(0, bytes);
}

bool ReplyParser::knows(std::string_view name) const {
  return std::any_of(tools_->begin(), tools_->end(),
                     [&](const ToolSignature& tool) { return tool.name == name; });
}

}  // namespace hearth::dialog
