#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <array>
#include <cstring>
#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

// Members of a character class, for use inside [...].
constexpr std::string_view kSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
// Oniguruma counts superscript digits and fractions of Latin-1 as word characters.
constexpr std::string_view kWord =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr std::string_view kHex = "0-9a-fA-F";
constexpr std::string_view kNotHex = R"(\x{0}-\x{2f}\x{3a}-\x{40}\x{47}-\x{60}\x{67}-\x{10ffff})";

struct PosixClass {
  std::string_view name;
  std::string_view set;
};
constexpr std::array kPosixClasses = {
    PosixClass{"alpha", R"(\p{Alphabetic})"},
    PosixClass{"digit", R"(\p{Nd})"},
    PosixClass{"alnum", R"(\p{Alphabetic}\p{M}\p{Nd})"},
    PosixClass{"upper", R"(\p{Uppercase})"},
    PosixClass{"lower", R"(\p{Lowercase})"},
    PosixClass{"punct", R"(\p{P}\p{S})"},
    PosixClass{"cntrl", R"(\p{Cc})"},
    PosixClass{"space", kSpace},
    PosixClass{"word", kWord},
    PosixClass{"xdigit", kHex},
    PosixClass{"blank", R"(\p{Zs}\x{9})"},
};

// General categories and other properties whose bare names mean the same in both engines.
constexpr std::array<std::string_view, 41> kPlainProperties = {"L",
                                                               "Lu",
                                                               "Ll",
                                                               "Lt",
                                                               "Lm",
                                                               "Lo",
                                                               "M",
                                                               "Mn",
                                                               "Mc",
                                                               "Me",
                                                               "N",
                                                               "Nd",
                                                               "Nl",
                                                               "No",
                                                               "P",
                                                               "Pc",
                                                               "Pd",
                                                               "Ps",
                                                               "Pe",
                                                               "Pi",
                                                               "Pf",
                                                               "Po",
                                                               "S",
                                                               "Sm",
                                                               "Sc",
                                                               "Sk",
                                                               "So",
                                                               "Z",
                                                               "Zs",
                                                               "Zl",
                                                               "Zp",
                                                               "C",
                                                               "Cc",
                                                               "Cf",
                                                               "Cs",
                                                               "Co",
                                                               "Cn",
                                                               "Any",
                                                               "Alphabetic",
                                                               "Emoji",
                                                               "Extended_Pictographic"};

struct LongProperty {
  std::string_view name;
  std::string_view category;
};
constexpr std::array kLongProperties = {
    LongProperty{"Letter", "L"},        LongProperty{"Mark", "M"},
    LongProperty{"Number", "N"},        LongProperty{"Punctuation", "P"},
    LongProperty{"Symbol", "S"},        LongProperty{"Separator", "Z"},
    LongProperty{"Other", "C"},         LongProperty{"Punct", "P"},
    LongProperty{"Digit", "Nd"},        LongProperty{"Alpha", "Alphabetic"},
    LongProperty{"Upper", "Uppercase"}, LongProperty{"Lower", "Lowercase"},
};

class Translator {
 public:
  Translator(std::string_view pattern, Regex::Chars chars, const std::string& where)
      : in_(pattern), chars_(chars), where_(where) {}

  std::string run() {
    out_.reserve(in_.size() * 2);
    while (at_ < in_.size()) {
      if (in_[at_] == '\\' && at_ + 1 < in_.size()) {
        escape();
      } else if (class_depth_ > 0) {
        class_member();
      } else {
        plain();
      }
    }
    return std::move(out_);
  }

 private:
  bool starts_with(std::string_view what) const { return in_.substr(at_).starts_with(what); }

  void copy(size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }

  // The members with the recent characters of the properties among them.
  std::string with_recent(std::string_view members) const {
    std::string out(members);
    if (chars_ == Regex::Chars::kCommon) return out;
    for (size_t at = 0; (at = members.find("\\p{", at)) != std::string_view::npos; at += 3) {
      std::string_view name = members.substr(at + 3, members.find('}', at) - at - 3);
      if (name.starts_with("sc:")) name.remove_prefix(3);
      out += recent_chars_of(name);
    }
    return out;
  }

  void emit_set(std::string_view plain_members, std::string_view negated_members, size_t consumed,
                char sign) {
    at_ += consumed;
    const std::string members = with_recent(plain_members);
    if (class_depth_ > 0) {
      out_ += sign == '+' ? members : negated_members;
    } else {
      out_ += sign == '+' ? "[" : "[^";
      out_ += members;
      out_ += ']';
    }
  }

  void escape() {
    switch (in_[at_ + 1]) {
      case 's':
        return emit_set(kSpace, kNotSpace, 2, '+');
      case 'S':
        return emit_set(kSpace, kNotSpace, 2, '-');
      case 'd':
        return emit_set(R"(\p{Nd})", R"(\P{Nd})", 2, '+');
      case 'D':
        return emit_set(R"(\p{Nd})", R"(\P{Nd})", 2, '-');
      case 'w':
        return emit_set(kWord, {}, 2, '+');
      case 'W':
        if (class_depth_ > 0) unsupported("\\W inside a character class");
        return emit_set(kWord, {}, 2, '-');
      case 'h':
        return emit_set(kHex, kNotHex, 2, '+');
      case 'H':
        return emit_set(kHex, kNotHex, 2, '-');
      case 'b':
        if (class_depth_ > 0) return copy(2);
        return boundary("(?:(?<=W)(?!W)|(?<!W)(?=W))");
      case 'B':
        return boundary("(?:(?<=W)(?=W)|(?<!W)(?!W))");
      case 'p':
      case 'P':
        return property();
      case 'v':  // vertical tab, not PCRE2's class
        at_ += 2;
        out_ += R"(\x{b})";
        return;
      case 'u':
        return code_point();
      default:
        return copy(2);
    }
  }

  void boundary(std::string_view form) {
    at_ += 2;
    for (const char c : form) {
      if (c == 'W') {
        out_.append("[").append(with_recent(kWord)).append("]");
      } else {
        out_ += c;
      }
    }
  }

  // \u263A
  void code_point() {
    const std::string_view digits = in_.substr(at_ + 2, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos) {
      unsupported("\\u without four hexadecimal digits");
    }
    out_.append(R"(\x{)").append(digits).append("}");
    at_ += 6;
  }

  [[noreturn]] void unsupported(std::string_view what) const {
    throw_error(ErrorCode::kUnsupported, where_, "regular expression '{}': {} is not supported",
                in_, what);
  }

  // \p{Name} and \p{^Name}: categories stay, scripts become sc:Name because PCRE2 would read a bare
  // script as the set of its extensions.
  void property() {
    const size_t close = in_.find('}', at_);
    if (at_ + 2 >= in_.size() || in_[at_ + 2] != '{' || close == std::string_view::npos) {
      return copy(2);
    }
    std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    bool negated = in_[at_ + 1] == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    at_ = close + 1;
    for (const LongProperty& property : kLongProperties) {
      if (name == property.name) name = property.category;
    }
    bool plain = name == "Uppercase" || name == "Lowercase";
    for (const std::string_view known : kPlainProperties) plain = plain || name == known;
    const std::string braced = fmt::format("{{{}{}}}", plain ? "" : "sc:", name);
    const std::string members = with_recent("\\p" + braced);
    // A complement inside a class cannot be widened: there, recent characters keep their old class.
    if (members.size() == braced.size() + 2 || (negated && class_depth_ > 0)) {
      out_ += (negated ? "\\P" : "\\p") + braced;
    } else {
      emit_set("\\p" + braced, {}, 0, negated ? '-' : '+');
    }
  }

  void class_member() {
    if (starts_with("[:") && posix_class()) return;
    if (starts_with("&&")) unsupported("&& (intersection) inside a character class");
    if (in_[at_] == ']') {
      if (--class_depth_ > 0) {
        ++at_;
        return;
      }
    } else if (in_[at_] == '[') {
      // Oniguruma nests classes; PCRE2 10.42 does not. A nested union only drops its brackets.
      if (starts_with("[^")) unsupported("a negated class inside another");
      ++class_depth_;
      ++at_;
      return;
    }
    copy(1);
  }

  bool posix_class() {
    const size_t close = in_.find(":]", at_);
    if (close == std::string_view::npos) return false;
    const std::string_view name = in_.substr(at_ + 2, close - at_ - 2);
    for (const PosixClass& posix : kPosixClasses) {
      if (posix.name != name) continue;
      emit_set(posix.set, {}, name.size() + 4, '+');
      return true;
    }
    unsupported(fmt::format("the class [:{}:]", name));
  }

  void plain() {
    if (in_[at_] == '[') {
      ++class_depth_;
      copy(1);
      if (at_ < in_.size() && in_[at_] == '^') copy(1);
      if (at_ < in_.size() && in_[at_] == ']') {  // a bracket that comes first is a member
        out_ += "\\]";
        ++at_;
      }
    } else if (starts_with("(?")) {
      group_options();
    } else {
      copy(1);
    }
  }

  // (?im-x) and (?im-x:...): Oniguruma's m lets the dot match newlines, which PCRE2 calls s.
  void group_options() {
    size_t end = at_ + 2;
    while (end < in_.size() && std::strchr("imx-", in_[end]) != nullptr) ++end;
    const bool options = end < in_.size() && end > at_ + 2 && (in_[end] == ':' || in_[end] == ')');
    if (!options) return copy(2);
    for (const char c : in_.substr(at_, end - at_)) out_ += c == 'm' ? 's' : c;
    at_ = end;
  }

  std::string_view in_;
  Regex::Chars chars_;
  const std::string& where_;
  size_t at_ = 0;
  int class_depth_ = 0;
  std::string out_;
};

constexpr size_t kJitStackBytesMax = size_t{8} << 20;
constexpr size_t kJitStackBytesStart = size_t{32} << 10;
constexpr uint32_t kMatchLimit = 200'000'000;
constexpr uint32_t kHeapLimitKib = 256 << 10;

}  // namespace

std::string translate_pattern(std::string_view pattern, Regex::Chars chars,
                              const std::string& where) {
  return Translator(pattern, chars, where).run();
}

struct RegexScratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackBytesStart, kJitStackBytesMax, nullptr);

  RegexScratch() {
    pcre2_jit_stack_assign(context, nullptr, stack);
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKib);
  }
  ~RegexScratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  RegexScratch(const RegexScratch&) = delete;
  RegexScratch& operator=(const RegexScratch&) = delete;
};

void RegexScratchDeleter::operator()(RegexScratch* scratch) const { delete scratch; }

RegexScratchPtr make_regex_scratch() { return RegexScratchPtr(new RegexScratch); }

struct Regex::Code {
  pcre2_code* pcre = nullptr;
  bool jit = false;
  std::string where;

  Code(std::string_view pattern, Chars chars, const std::string& source) : where(source) {
    const std::string translated = translate_pattern(pattern, chars, source);
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                         &offset, nullptr);
    if (pcre == nullptr) {
      std::array<PCRE2_UCHAR, 160> text{};
      pcre2_get_error_message(error, text.data(), text.size());
      throw_error(
          ErrorCode::kInvalidArgument, source,
          "regular expression '{}' does not compile: {} (at byte {} of its PCRE2 form '{}')",
          pattern, reinterpret_cast<const char*>(text.data()), offset, translated);
    }
    jit = pcre2_jit_compile(pcre, PCRE2_JIT_COMPLETE) == 0;
  }
  ~Code() { pcre2_code_free(pcre); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Regex::Regex(std::string_view pattern, const std::string& where)
    : common_(std::make_unique<Code>(pattern, Chars::kCommon, where)),
      recent_(std::make_unique<Code>(pattern, Chars::kRecent, where)) {}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex::Chars Regex::chars_of(std::string_view text) {
  return has_recent_chars(text) ? Chars::kRecent : Chars::kCommon;
}

std::optional<Match> Regex::find(std::string_view text, size_t from, Chars chars,
                                 RegexScratch& scratch) const {
  const Code& code = chars == Chars::kRecent ? *recent_ : *common_;
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int count = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code.jit) {
    count = pcre2_jit_match(code.pcre, subject, text.size(), from, PCRE2_NO_UTF_CHECK, scratch.data,
                            scratch.context);
  }
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
    count = pcre2_match(code.pcre, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        scratch.data, scratch.context);
  }
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (count < 0) {
    throw_error(
        ErrorCode::kTooLarge, code.where,
        "a regular expression backtracks too much on this text (PCRE2 error {}); shorten it",
        count);
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.data);
  return Match{ends[0], ends[1]};
}

}  // namespace hearth::tokenizer
