#include "dialog/pythonic.h"

#include <charconv>
#include <cstdint>

#include "base/error.h"
#include "io/json.h"

namespace hearth::dialog {
namespace {

using io::Json;

constexpr size_t kBytesMax = size_t{1} << 20;
constexpr int kDepthMax = 64;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

// Reads Python literals; anything else throws Broken, caught in `feed`.
struct Broken {};

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::vector<std::pair<std::string, std::string>> calls() {
    std::vector<std::pair<std::string, std::string>> out;
    expect('[');
    do {
      out.push_back(call());
    } while (skip(','));
    expect(']');
    return out;
  }

 private:
  char peek() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
    if (at_ >= text_.size()) throw Broken();
    return text_[at_];
  }
  bool skip(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!skip(c)) throw Broken();
  }
  std::string word() {
    peek();
    const size_t start = at_;
    while (at_ < text_.size() && is_name(text_[at_])) ++at_;
    if (at_ == start) throw Broken();
    return std::string(text_.substr(start, at_ - start));
  }

  std::pair<std::string, std::string> call() {
    const std::string name = word();
    expect('(');
    Json arguments = Json::object();
    while (peek() != ')') {
      const std::string key = word();
      expect('=');
      arguments[key] = value(0);
      if (!skip(',')) break;
    }
    expect(')');
    return {name, io::dump_json(arguments)};
  }

  Json value(int depth) {
    if (depth > kDepthMax) throw Broken();
    const char c = peek();
    if (c == '"' || c == '\'') return string();
    if (c == '[' || c == '(') return list(depth, c == '[' ? ']' : ')');
    if (c == '{') return dict(depth);
    return scalar();
  }

  Json list(int depth, char end) {
    ++at_;
    Json out = Json::array();
    while (peek() != end) {
      out.push_back(value(depth + 1));
      if (!skip(',')) break;
    }
    expect(end);
    return out;
  }

  Json dict(int depth) {
    ++at_;
    Json out = Json::object();
    while (peek() != '}') {
      const Json key = value(depth + 1);
      expect(':');
      out[key.is_string() ? key.get<std::string>() : io::dump_json(key)] = value(depth + 1);
      if (!skip(',')) break;
    }
    expect('}');
    return out;
  }

  Json scalar() {
    const size_t start = at_;
    if (peek() == '+') throw Broken();
    while (at_ < text_.size() && (is_name(text_[at_]) || text_[at_] == '+')) ++at_;
    const std::string_view text = text_.substr(start, at_ - start);
    if (text == "True" || text == "true") return true;
    if (text == "False" || text == "false") return false;
    if (text == "None" || text == "null") return nullptr;
    const char* last = text.data() + text.size();
    int64_t integer = 0;
    if (std::from_chars(text.data(), last, integer).ptr == last && !text.empty()) return integer;
    double real = 0;
    if (std::from_chars(text.data(), last, real).ptr == last && !text.empty()) return real;
    throw Broken();
  }

  std::string string() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] != '\\' || at_ + 1 >= text_.size()) {
        out += text_[at_++];
        continue;
      }
      const char c = text_[at_ + 1];
      at_ += 2;
      if (c == 'n')
        out += '\n';
      else if (c == 't')
        out += '\t';
      else if (c == 'r')
        out += '\r';
      else if (c == '\\' || c == '\'' || c == '"')
        out += c;
      else
        (out += '\\') += c;
    }
    if (at_ >= text_.size()) throw Broken();
    ++at_;
    return out;
  }

  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

bool PythonicCalls::step(char c) {
  text_ += c;
  if (text_.size() > kBytesMax) return false;
  if (quote_ != '\0') {
    if (c == quote_ && !escaped_) quote_ = '\0';
    escaped_ = c == '\\' && !escaped_;
    return true;
  }
  // A list that does not start with a name is not one of calls.
  if (text_.size() == 2 && !is_name(c)) return false;
  if (c == '"' || c == '\'') quote_ = c;
  if (c == '[' || c == '(' || c == '{') ++depth_;
  if (c == ']' || c == ')' || c == '}') --depth_;
  return depth_ >= 0;
}

PythonicCalls::Status PythonicCalls::feed(std::string_view& text) {
  while (!text.empty()) {
    const bool good = step(text.front());
    text.remove_prefix(1);
    if (!good) return Status::kBroken;
    if (depth_ > 0) continue;
    try {
      calls_ = Reader(text_).calls();
      return Status::kDone;
    } catch (const Broken&) {
      return Status::kBroken;
    }
  }
  return Status::kReading;
}

}  // namespace hearth::dialog
