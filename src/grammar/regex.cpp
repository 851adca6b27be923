#include "grammar/regex.h"

#include <optional>

#include "base/error.h"

namespace hearth::grammar {
namespace {

class RegexParser {
 public:
  RegexParser(Ir& ir, std::string_view pattern, const CodePointSpelling& spelling,
              const std::string& where)
      : ir_(ir), text_(pattern), spelling_(spelling), where_(where) {}

  ExprId parse(RegexMatch match) {
    match_ = match;
    read_flags();
    const ExprId expr = alternatives(0);
    if (at_ < text_.size()) fail("')' has no '('");
    return expr;
  }

 private:
  [[noreturn]] void fail(const std::string& text) const {
    throw_error(ErrorCode::kInvalidArgument, where_, "regex: {} at byte {} of '{}'", text, at_,
                text_.substr(0, 200));
  }
  [[noreturn]] void unsupported(const std::string& what) const {
    throw_error(ErrorCode::kUnsupported, where_, "regex: {} at byte {} cannot become a token mask",
                what, at_);
  }

  bool done() const { return at_ >= text_.size(); }
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!looking_at(what)) return false;
    at_ += what.size();
    return true;
  }

  void read_flags() {
    for (;;) {
      if (take("(?i)")) {
        ignore_case_ = true;
      } else if (take("(?s)")) {
        dot_all_ = true;
      } else {
        return;
      }
    }
  }

  ExprId alternatives(int depth) {
    if (depth > ir_.limits().nesting_max) {
      throw_error(ErrorCode::kTooLarge, where_, "regex: groups nest deeper than {} (nesting_max)",
                  ir_.limits().nesting_max);
    }
    std::vector<ExprId> choices{alternative(depth)};
    while (take("|")) choices.push_back(alternative(depth));
    return ir_.choice(std::move(choices));
  }

  // Anchors count only at the ends of a top-level alternative, where they are a property of it.
  ExprId alternative(int depth) {
    bool from_start = match_ == RegexMatch::kWhole;
    bool to_end = from_start;
    std::vector<ExprId> parts;
    if (depth == 0) {
      while (take("^") || take("\\A")) from_start = true;
      if (!from_start) parts.push_back(anything());
    }
    while (!done() && !looking_at("|") && !looking_at(")")) {
      if (looking_at("$") || looking_at("\\z") || looking_at("\\Z")) {
        end_anchor(depth);
        to_end = true;
        break;
      }
      parts.push_back(quantified(depth));
    }
    if (depth == 0 && !to_end) parts.push_back(anything());
    return ir_.seq(std::move(parts));
  }

  void end_anchor(int depth) {
    while (take("$") || take("\\z") || take("\\Z")) {
    }
    if (depth > 0 || !(done() || looking_at("|"))) {
      unsupported("an anchor that is not at an end of the pattern");
    }
  }

  ExprId anything() { return ir_.star(spelling_(ir_, CodePointSet::any())); }

  ExprId quantified(int depth) {
    ExprId expr = atom(depth);
    int64_t low = 0, high = 0;
    for (int repeats = 0; quantifier(low, high); ++repeats) {
      if (repeats > 0) fail("nothing to repeat");
      if (take("+")) unsupported("a possessive quantifier");
      take("?");
      expr = ir_.repeat(expr, low, high);
    }
    return expr;
  }

  bool quantifier(int64_t& low, int64_t& high) {
    if (take("*")) return low = 0, high = kUnbounded, true;
    if (take("+")) return low = 1, high = kUnbounded, true;
    if (take("?")) return low = 0, high = 1, true;
    return counted(low, high);
  }

  // {m}, {m,} or {m,n}; anything else that starts with a brace is that brace, as in ECMAScript.
  bool counted(int64_t& low, int64_t& high) {
    const size_t start = at_;
    if (!take("{")) return false;
    const std::optional<int64_t> first = number();
    std::optional<int64_t> second = first;
    if (take(",")) {
      second = number();
      if (!second) second = kUnbounded;
    }
    if (!first || !take("}")) {
      at_ = start;
      return false;
    }
    if (*second != kUnbounded && *second < *first) fail("the bounds of a repeat are out of order");
    low = *first;
    high = *second;
    return true;
  }

  std::optional<int64_t> number() {
    const size_t start = at_;
    int64_t value = 0;
    while (!done() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = std::min<int64_t>(value * 10 + (text_[at_++] - '0'), int64_t{1} << 40);
    }
    return at_ == start ? std::nullopt : std::optional(value);
  }

  ExprId atom(int depth) {
    const char c = text_[at_];
    if (c == '(') return group(depth);
    if (c == '[') return spell(bracket());
    if (c == '\\') return spell(escape(InClass::kNo));
    if (c == '*' || c == '+' || c == '?') fail("nothing to repeat");
    if (c == '^') unsupported("an anchor that is not at an end of the pattern");
    if (c == '{') {
      int64_t low = 0, high = 0;
      if (counted(low, high)) fail("nothing to repeat");
    }
    if (c == '.') {
      ++at_;
      if (dot_all_) return spell(CodePointSet::any());
      return spell(CodePointSet({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}).complement());
    }
    return spell(CodePointSet::of(next_code_point(text_, at_, where_)));
  }

  ExprId spell(const CodePointSet& set) {
    return spelling_(ir_, ignore_case_ ? set.fold_ascii() : set);
  }

  ExprId group(int depth) {
    take("(");
    if (take("?")) {
      if (looking_at("=") || looking_at("!") || looking_at("<=") || looking_at("<!")) {
        unsupported("look-around");
      }
      if (!take(":")) group_name();
    }
    const ExprId expr = alternatives(depth + 1);
    if (!take(")")) fail("a group is not closed");
    return expr;
  }

  void group_name() {
    take("P");
    if (!take("<")) unsupported("this kind of group");
    while (!done() && text_[at_] != '>') ++at_;
    if (!take(">")) fail("a group's name is not closed");
  }

  enum class InClass { kNo, kYes };

  CodePointSet escape(InClass in_class) {
    take("\\");
    if (done()) fail("a lone '\\' ends the pattern");
    const size_t start = at_;
    const uint32_t c = next_code_point(text_, at_, where_);
    switch (c) {
      case 'd':
      case 'D':
      case 'w':
      case 'W':
      case 's':
      case 'S':
        return class_escape(static_cast<char>(c));
      case 'n':
        return CodePointSet::of('\n');
      case 'r':
        return CodePointSet::of('\r');
      case 't':
        return CodePointSet::of('\t');
      case 'f':
        return CodePointSet::of('\f');
      case 'v':
        return CodePointSet::of('\v');
      case 'x':
        return CodePointSet::of(hex(2));
      case 'u':
        return CodePointSet::of(utf16());
      case 'U':
        return CodePointSet::of(hex(8));
      case 'p':
      case 'P':
        unsupported("a Unicode property");
      default:
        break;
    }
    if (c == 'b' && in_class == InClass::kYes) return CodePointSet::of('\b');
    if (c == 'b' || c == 'B') unsupported("a word boundary");
    if (c == 'k' || (c >= '1' && c <= '9')) unsupported("a back-reference");
    if (c == '0') return CodePointSet::of(0);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      at_ = start;
      fail("an unknown escape");
    }
    return CodePointSet::of(c);
  }

  uint32_t hex(int digits) {
    if (take("{")) {
      const uint32_t value = hex_digits(8);
      if (!take("}")) fail("an escape with '{' is not closed");
      return value;
    }
    const size_t start = at_;
    const uint32_t value = hex_digits(digits);
    if (at_ != start + digits) fail("an escape has too few digits");
    return value;
  }

  uint32_t hex_digits(int most) {
    const size_t start = at_;
    uint32_t value = 0;
    for (; !done() && at_ < start + most; ++at_) {
      const char c = text_[at_];
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        value = value * 16 + ((c | 0x20) - 'a' + 10);
      } else {
        break;
      }
    }
    if (at_ == start || value > 0x10FFFF) fail("an escape is not a code point");
    return value;
  }

  // \uXXXX, or two of them that are a surrogate pair.
  uint32_t utf16() {
    const uint32_t first = hex(4);
    if (first < 0xD800 || first > 0xDFFF) return first;
    if (first < 0xDC00 && take("\\u")) {
      const uint32_t second = hex(4);
      if (second >= 0xDC00 && second <= 0xDFFF) {
        return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
      }
    }
    fail("half a surrogate pair");
  }

  CodePointSet bracket() {
    take("[");
    const bool negated = take("^");
    CodePointSet set;
    for (bool first = true; first || !looking_at("]"); first = false) {
      if (done()) fail("a class is not closed");
      if (first && looking_at("]")) break;
      if (looking_at("[:")) unsupported("a POSIX class");
      bracket_item(set);
    }
    take("]");
    if (ignore_case_) set = set.fold_ascii();
    return negated ? set.complement() : set;
  }

  void bracket_item(CodePointSet& set) {
    const CodePointSet low = bracket_atom();
    if (!looking_at("-") || text_.substr(at_).starts_with("-]")) {
      set.add(low);
      return;
    }
    take("-");
    if (done()) fail("a class is not closed");
    const CodePointSet high = bracket_atom();
    if (!is_single(low) || !is_single(high)) {
      set.add(low);
      set.add(CodePointSet::of('-'));
      set.add(high);
      return;
    }
    const uint32_t from = low.ranges()[0].low, to = high.ranges()[0].low;
    if (to < from) fail("a range of a class is out of order");
    set.add(CodePointSet::range(from, to));
  }

  CodePointSet bracket_atom() {
    if (looking_at("\\")) return escape(InClass::kYes);
    return CodePointSet::of(next_code_point(text_, at_, where_));
  }

  static bool is_single(const CodePointSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].low == set.ranges()[0].high;
  }

  Ir& ir_;
  std::string_view text_;
  const CodePointSpelling& spelling_;
  const std::string& where_;
  size_t at_ = 0;
  RegexMatch match_ = RegexMatch::kWhole;
  bool ignore_case_ = false;
  bool dot_all_ = false;
};

}  // namespace

CodePointSet class_escape(char letter) {
  switch (letter) {
    case 'd':
      return CodePointSet::range('0', '9');
    case 'w':
      return CodePointSet({{'0', '9'}, {'A', 'Z'}, {'a', 'z'}, {'_', '_'}});
    case 's':
      return CodePointSet({{'\t', '\r'},
                           {' ', ' '},
                           {0xA0, 0xA0},
                           {0x1680, 0x1680},
                           {0x2000, 0x200A},
                           {0x2028, 0x2029},
                           {0x202F, 0x202F},
                           {0x205F, 0x205F},
                           {0x3000, 0x3000},
                           {0xFEFF, 0xFEFF}});
    default:
      return class_escape(static_cast<char>(letter | 0x20)).complement();
  }
}

ExprId regex_expr(Ir& ir, std::string_view pattern, RegexMatch match,
                  const CodePointSpelling& spelling, const std::string& where) {
  return RegexParser(ir, pattern, spelling, where).parse(match);
}

}  // namespace hearth::grammar
