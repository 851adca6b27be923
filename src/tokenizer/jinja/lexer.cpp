#include "tokenizer/jinja/lexer.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

constexpr std::array<std::string_view, 26> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) { return is_name_start(c) || is_ascii_digit(c); }

int digit_value(char c) {
  if (is_ascii_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

// One kind of newline, and without the last one, as jinja2 reads its source.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string source, const std::string& name) : source_(std::move(source)), name_(name) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) text_then_tag();
    push(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  enum class Tag { kBlock, kOutput, kComment };

  Position position(size_t offset) {
    for (; seen_ < offset; ++seen_) {
      ++seen_at_.column;
      if (source_[seen_] == '\n') seen_at_ = {seen_at_.line + 1, 1};
    }
    return seen_at_;
  }

  [[noreturn]] void fail(size_t offset, std::string text) {
    if (offset < seen_) seen_ = 0, seen_at_ = {};
    fail_at(name_, position(offset), std::move(text));
  }

  void push(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), position(std::max(at_, seen_))});
  }

  bool starts(std::string_view what, size_t offset) const {
    return std::string_view(source_).substr(offset, what.size()) == what;
  }

  size_t find_tag(size_t from) const {
    for (size_t i = from; i + 1 < source_.size(); ++i) {
      const char next = source_[i + 1];
      if (source_[i] == '{' && (next == '{' || next == '%' || next == '#')) return i;
    }
    return source_.size();
  }

  size_t skip_space(size_t offset) const {
    size_t bytes = 0;
    while (offset < source_.size() &&
           is_space(first_point(std::string_view(source_).substr(offset), &bytes))) {
      offset += bytes;
    }
    return offset;
  }

  // Text up to a tag that opens with `sign` is trimmed by it.
  std::string_view trim_before(std::string_view text, char sign, Tag tag) const {
    if (sign == '-') return strip_space(text, Side::kRight);
    if (sign == '+' || tag == Tag::kOutput) return text;
    const size_t newline = text.rfind('\n');
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (line == 0 && !line_starting_) return text;
    return strip_space(text.substr(line), Side::kBoth).empty() ? text.substr(0, line) : text;
  }

  void push_text(std::string_view text) {
    if (!text.empty()) push(TokenKind::kText, std::string(text));
  }

  void moved_to(size_t offset) {
    if (offset > at_) line_starting_ = source_[offset - 1] == '\n';
    at_ = offset;
  }

  void text_then_tag() {
    const size_t tag_at = find_tag(at_);
    const std::string_view text(source_.data() + at_, tag_at - at_);
    if (tag_at == source_.size()) {
      push_text(text);
      at_ = tag_at;
      return;
    }
    const char second = source_[tag_at + 1];
    const Tag tag = second == '{' ? Tag::kOutput : second == '%' ? Tag::kBlock : Tag::kComment;
    size_t inside = tag_at + 2;
    char sign = inside < source_.size() ? source_[inside] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    if (sign != '\0') ++inside;
    const size_t raw = tag == Tag::kBlock ? raw_begin(inside) : 0;
    push_text(trim_before(text, sign, tag));
    if (raw != 0) {
      moved_to(raw);
      raw_text(tag_at);
    } else if (tag == Tag::kComment) {
      comment(tag_at, inside);
    } else {
      moved_to(tag_at);
      push(tag == Tag::kBlock ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, {});
      at_ = inside;
      line_starting_ = false;
      inside_tag(tag, tag_at);
    }
  }

  // Where the text of a raw block starts when a raw tag stands at `offset`, else 0.
  size_t raw_begin(size_t offset) const {
    offset = skip_space(offset);
    if (!starts("raw", offset)) return 0;
    offset = skip_space(offset + 3);
    if (starts("-%}", offset)) return skip_space(offset + 3);
    return starts("%}", offset) ? offset + 2 : 0;
  }

  void raw_text(size_t tag_at) {
    for (size_t end = at_;; ++end) {
      end = find_text(source_, "{%", end);
      if (end == std::string::npos) fail(tag_at, "the raw block is never closed; add {% endraw %}");
      size_t inside = end + 2;
      const char sign = inside < source_.size() ? source_[inside] : '\0';
      if (sign == '-' || sign == '+') ++inside;
      inside = skip_space(inside);
      if (!starts("endraw", inside)) continue;
      const size_t after = block_end(skip_space(inside + 6), Tag::kBlock);
      if (after == 0) continue;
      push_text(trim_before(std::string_view(source_).substr(at_, end - at_), sign, Tag::kBlock));
      moved_to(after);
      return;
    }
  }

  void comment(size_t tag_at, size_t inside) {
    // The sign of {#- may itself be the start of -#}, as in {#-#}.
    for (size_t i = inside; i < source_.size(); ++i) {
      const size_t after = block_end(i, Tag::kComment);
      if (after == 0) continue;
      moved_to(after);
      return;
    }
    fail(tag_at, "the comment is never closed; add #}");
  }

  // Offset after the end of a tag that stands at `offset`, with the white space it eats; else 0.
  size_t block_end(size_t offset, Tag tag) const {
    const std::string_view end = tag == Tag::kBlock ? "%}" : tag == Tag::kOutput ? "}}" : "#}";
    if (offset < source_.size() && source_[offset] == '-' && starts(end, offset + 1)) {
      return skip_space(offset + 3);
    }
    if (tag != Tag::kOutput && starts("+", offset) && starts(end, offset + 1)) return offset + 3;
    if (!starts(end, offset)) return 0;
    offset += 2;
    return tag != Tag::kOutput && starts("\n", offset) ? offset + 1 : offset;
  }

  void inside_tag(Tag tag, size_t tag_at) {
    std::string open;  // brackets not closed yet
    for (;;) {
      if (const size_t after = open.empty() ? block_end(at_, tag) : 0; after != 0) {
        push(tag == Tag::kBlock ? TokenKind::kBlockEnd : TokenKind::kOutputEnd, {});
        moved_to(after);
        return;
      }
      if (const size_t next = skip_space(at_); next != at_) {
        at_ = next;
        continue;
      }
      if (at_ >= source_.size()) {
        fail(tag_at,
             fmt::format("the tag is never closed; add {}", tag == Tag::kBlock ? "%}" : "}}"));
      }
      token(open);
    }
  }

  void token(std::string& open) {
    const char c = source_[at_];
    if (is_ascii_digit(c)) return number();
    if (is_name_start(c)) return name();
    if (c == '"' || c == '\'') return string();
    for (std::string_view op : kOperators) {
      if (!starts(op, at_)) continue;
      balance(op, open);
      push(TokenKind::kOperator, std::string(op));
      at_ += op.size();
      return;
    }
    fail(at_, fmt::format("unexpected character '{}'", c));
  }

  void balance(std::string_view op, std::string& open) {
    if (op == "(" || op == "[" || op == "{") {
      open += op == "(" ? ')' : op == "[" ? ']' : '}';
    } else if (op == ")" || op == "]" || op == "}") {
      if (open.empty()) fail(at_, fmt::format("unexpected '{}'", op));
      if (open.back() != op[0]) {
        fail(at_, fmt::format("unexpected '{}', expected '{}'", op, open.back()));
      }
      open.pop_back();
    }
  }

  void name() {
    size_t end = at_;
    while (end < source_.size() && is_name_part(source_[end])) ++end;
    push(TokenKind::kName, source_.substr(at_, end - at_));
    at_ = end;
  }

  // Digits with single underscores between them.
  size_t digits(size_t i, int base) const {
    const size_t start = i;
    while (i < source_.size()) {
      const bool joined = source_[i] == '_' && i > start && i + 1 < source_.size() &&
                          digit_value(source_[i + 1]) < base;
      if (!joined && digit_value(source_[i]) >= base) break;
      ++i;
    }
    return i;
  }

  static std::string without_underscores(std::string text) {
    std::erase(text, '_');
    return text;
  }

  void number() {
    const char marker = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : 0;
    const int base = source_[at_] != '0' ? 10
                     : marker == 'x'     ? 16
                     : marker == 'o'     ? 8
                     : marker == 'b'     ? 2
                                         : 10;
    if (base != 10 && digits(at_ + 2, base) > at_ + 2) {
      const size_t end = digits(at_ + 2, base);
      push_based(end, base);
      return;
    }
    size_t end = digits(at_, 10);
    bool real = false;
    if (starts(".", end) && end + 1 < source_.size() && is_ascii_digit(source_[end + 1]) &&
        !after_dot()) {
      end = digits(end + 1, 10);
      real = true;
    }
    if (const size_t exponent = exponent_end(end); exponent != end && !after_dot()) {
      end = exponent;
      real = true;
    }
    push(real ? TokenKind::kFloat : TokenKind::kInteger,
         without_underscores(source_.substr(at_, end - at_)));
    at_ = end;
  }

  // In a.1.2 the digits after a dot are integers, never a float.
  bool after_dot() const { return at_ > 0 && source_[at_ - 1] == '.'; }

  size_t exponent_end(size_t i) const {
    size_t j = i;
    if (j >= source_.size() || (source_[j] | 0x20) != 'e') return i;
    ++j;
    if (j < source_.size() && (source_[j] == '+' || source_[j] == '-')) ++j;
    return j < source_.size() && is_ascii_digit(source_[j]) ? digits(j, 10) : i;
  }

  void push_based(size_t end, int base) {
    uint64_t value = 0;
    for (char c : without_underscores(source_.substr(at_ + 2, end - at_ - 2))) {
      if (value >> 58 != 0) fail(at_, "the number does not fit 64 bits");
      value = value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit_value(c));
    }
    push(TokenKind::kInteger, std::to_string(value));
    at_ = end;
  }

  void string() {
    const char quote = source_[at_];
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail(at_, "the string is never closed");
    push(TokenKind::kString, unescape(at_ + 1, end));
    at_ = end + 1;
  }

  std::string unescape(size_t from, size_t to) {
    std::string out;
    for (size_t i = from; i < to; ++i) {
      if (source_[i] != '\\') {
        out += source_[i];
        continue;
      }
      ++i;
      i = escape(i, to, out);
    }
    return out;
  }

  // source_[i] follows a backslash; returns the last offset used.
  size_t escape(size_t i, size_t to, std::string& out) {
    static constexpr std::string_view kFrom = "abfnrtv\\'\"";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\'\"";
    const char c = source_[i];
    if (const size_t simple = kFrom.find(c); simple != std::string_view::npos) {
      out += kTo[simple];
      return i;
    }
    if (c == '\n') return i;
    if (c == 'x') return hex_escape(i, to, 2, out);
    if (c == 'u') return hex_escape(i, to, 4, out);
    if (c == 'U') return hex_escape(i, to, 8, out);
    if (c >= '0' && c <= '7') {
      char32_t value = 0;
      size_t j = i;
      while (j < to && j < i + 3 && source_[j] >= '0' && source_[j] <= '7') {
        value = value * 8 + static_cast<char32_t>(source_[j++] - '0');
      }
      append_utf8(out, value);
      return j - 1;
    }
    out += '\\';
    out += c;
    return i;
  }

  size_t hex_escape(size_t i, size_t to, size_t count, std::string& out) {
    char32_t value = 0;
    for (size_t j = i + 1; j <= i + count; ++j) {
      if (j >= to || digit_value(source_[j]) > 15) {
        fail(i - 1, fmt::format("expected {} hexadecimal digits after \\{}", count, source_[i]));
      }
      value = value * 16 + static_cast<char32_t>(digit_value(source_[j]));
    }
    // A pair of surrogates written as two escapes is one character.
    if (value >= 0xD800 && value < 0xDC00 && count == 4 && starts("\\u", i + 5) && i + 10 < to) {
      char32_t low = 0;
      for (size_t j = i + 7; j < i + 11; ++j) {
        low = low * 16 + static_cast<char32_t>(digit_value(source_[j]));
      }
      if (low >= 0xDC00 && low < 0xE000) {
        append_utf8(out, 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00));
        return i + 10;
      }
    }
    append_utf8(out, value);
    return i + count;
  }

  const std::string source_;
  const std::string& name_;
  size_t at_ = 0;
  bool line_starting_ = true;
  size_t seen_ = 0;
  Position seen_at_;
  std::vector<Token> tokens_;
};

}  // namespace

void fail_at(const std::string& template_name, Position at, std::string text) {
  throw Error(ErrorCode::kInvalidArgument, std::move(text),
              fmt::format("{} line {}, column {}", template_name, at.line, at.column));
}

std::vector<Token> lex(std::string_view source, const std::string& template_name) {
  return Lexer(normalize(source), template_name).run();
}

}  // namespace hearth::tokenizer::jinja
