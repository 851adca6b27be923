#include "tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <utf8proc.h>
#include <vector>

#include "base/check.h"
#include "tokenizer/unicode_scripts.h"
#include "tokenizer/unicode_tables.h"

namespace hearth::tokenizer {
namespace {

template <typename Range, size_t kCount>
const Range* find_range(const Range (&table)[kCount], char32_t c) {
  const Range* after = std::upper_bound(std::begin(table), std::end(table), c,
                                        [](char32_t x, const Range& r) { return x < r.first; });
  if (after == std::begin(table) || c > (after - 1)->last) return nullptr;
  return after - 1;
}

struct CategoryName {
  std::string_view name;
  utf8proc_category_t utf8proc;
};

// In the order of Category.
constexpr CategoryName kCategories[] = {
    {"Cf", UTF8PROC_CATEGORY_CF}, {"Ll", UTF8PROC_CATEGORY_LL}, {"Lm", UTF8PROC_CATEGORY_LM},
    {"Lo", UTF8PROC_CATEGORY_LO}, {"Lu", UTF8PROC_CATEGORY_LU}, {"Mc", UTF8PROC_CATEGORY_MC},
    {"Mn", UTF8PROC_CATEGORY_MN}, {"Nd", UTF8PROC_CATEGORY_ND}, {"No", UTF8PROC_CATEGORY_NO},
    {"Pd", UTF8PROC_CATEGORY_PD}, {"Po", UTF8PROC_CATEGORY_PO}, {"Sm", UTF8PROC_CATEGORY_SM},
    {"So", UTF8PROC_CATEGORY_SO},
};

const CategoryName& describe(Category category) {
  return kCategories[static_cast<size_t>(category)];
}

utf8proc_category_t category(char32_t c) {
  if (const CategoryRange* range = find_range(kAdditions, c))
    return describe(range->category).utf8proc;
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// What the second byte of a three or four byte sequence may be, by its first byte: excludes
// overlong forms, surrogates and values over U+10FFFF.
struct SecondByte {
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
};

SecondByte second_byte_range(uint8_t lead) {
  switch (lead) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {};
  }
}

}  // namespace

Char decode_char(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xC2 || lead > 0xF4) return {kReplacementChar, 1, false};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t value = lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {kReplacementChar, static_cast<uint8_t>(i), false, true};
    const SecondByte range = i == 1 ? second_byte_range(lead) : SecondByte{};
    if (byte(i) < range.low || byte(i) > range.high) {
      return {kReplacementChar, static_cast<uint8_t>(i), false};
    }
    value = value << 6 | (byte(i) & 0x3F);
  }
  return {value, static_cast<uint8_t>(length)};
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | c >> 6));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | c >> 12));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | c >> 18));
    out.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Char c = decode_char(text.substr(i));
    if (!c.valid) return false;
    i += c.bytes;
  }
  return true;
}

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Char c = decode_char(text.substr(i));
    out += c.valid ? text.substr(i, c.bytes) : kReplacementUtf8;
    i += c.bytes;
  }
  return out;
}

bool has_recent_chars(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0xE0) {  // the table begins at U+0897
      ++i;
      continue;
    }
    const Char c = decode_char(text.substr(i));
    if (find_range(kAdditions, c.value) != nullptr) return true;
    i += c.bytes;
  }
  return false;
}

std::string recent_chars_of(std::string_view property) {
  std::string members;
  const auto add = [&](char32_t first, char32_t last) {
    members += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(first),
                           static_cast<uint32_t>(last));
  };
  if (property == "Han") {
    for (const CharRange& range : kHanAdditions) add(range.first, range.last);
    return members;
  }
  if (property == "Alphabetic") property = "L";
  if (property == "Uppercase") property = "Lu";
  if (property == "Lowercase") property = "Ll";
  for (const CategoryRange& range : kAdditions) {
    if (describe(range.category).name.starts_with(property)) add(range.first, range.last);
  }
  return members;
}

uint8_t script_of(char32_t c) {
  const ScriptRange* range = find_range(kScripts, c);
  return range == nullptr ? 0 : range->script;
}

size_t last_char_start(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && is_continuation(text[start])) --start;
  return start;
}

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const auto cat = category(c);
  return cat == UTF8PROC_CATEGORY_ND || cat == UTF8PROC_CATEGORY_NL ||
         cat == UTF8PROC_CATEGORY_NO || (c >= 0x11DE0 && c <= 0x11DE9) ||
         (c >= 0x16FF4 && c <= 0x16FF6);  // Unicode 17
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
           (c >= 0x7B && c <= 0x7E);
  }
  if (c == 0x166D || c == 0x111C9) return true;  // symbols since Unicode 12 and marks since 11
  const auto cat = category(c);
  return cat >= UTF8PROC_CATEGORY_PC && cat <= UTF8PROC_CATEGORY_PO &&
         find_range(kNotPunctuation, c) == nullptr;
}

bool is_word(char32_t c) {
  if (c < 0x80) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }
  if (c == 0x200C || c == 0x200D) return true;
  // Alphabetic symbols that are no letters: circled letters and the squared and negative ones.
  if ((c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
      (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189)) {
    return true;
  }
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

bool is_other(char32_t c) {
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS:
      return find_range(kNotOther, c) == nullptr;
    default:
      return false;
  }
}

bool is_mark(char32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // letters since Unicode 12
  const auto cat = category(c);
  return cat >= UTF8PROC_CATEGORY_MN && cat <= UTF8PROC_CATEGORY_ME &&
         find_range(kNotMark, c) == nullptr;
}

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1734 || c == 0x1171E) return true;  // spacing marks since Unicode 14 and 16
  return category(c) == UTF8PROC_CATEGORY_MN && find_range(kNotNonspacingMark, c) == nullptr;
}

void append_lowercase(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
    return;
  }
  if (c == 0x130) {  // the one character whose lower case is two
    out += "i\xCC\x87";
    return;
  }
  auto lower = static_cast<utf8proc_int32_t>(c);
  if (const LowercaseRange* range = find_range(kNewUppercase, c)) {
    lower += range->distance;
  } else {
    lower = utf8proc_tolower(lower);
  }
  append_utf8(out, static_cast<char32_t>(lower));
}

namespace {

using CodePoints = std::vector<utf8proc_int32_t>;

void append_decomposed(CodePoints& out, char32_t c, utf8proc_option_t options) {
  std::array<utf8proc_int32_t, 32> buffer;  // the longest decomposition has 18
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), buffer.data(),
                                             buffer.size(), options, &boundary);
  CHECK(count >= 0 && count <= static_cast<int64_t>(buffer.size()), "decomposing U+{:04X}",
        static_cast<uint32_t>(c));
  out.insert(out.end(), buffer.begin(), buffer.begin() + count);
}

// Canonical order: each run of combining marks sorted by class, stable. (utf8proc's own ordering
// is quadratic in the length of such a run.)
void order_marks(CodePoints& chars) {
  const auto combining_class = [](utf8proc_int32_t c) {
    const bool starter = c < 0x300 || find_range(kNotMark, static_cast<char32_t>(c)) != nullptr;
    return starter ? 0 : utf8proc_get_property(c)->combining_class;
  };
  for (size_t i = 0; i < chars.size(); ++i) {
    if (combining_class(chars[i]) == 0) continue;
    size_t end = i + 1;
    while (end < chars.size() && combining_class(chars[end]) != 0) ++end;
    std::stable_sort(chars.begin() + static_cast<ptrdiff_t>(i),
                     chars.begin() + static_cast<ptrdiff_t>(end),
                     [&](auto a, auto b) { return combining_class(a) < combining_class(b); });
    i = end - 1;
  }
}

}  // namespace

std::string normalize(std::string_view text, NormalForm form) {
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  // Below U+0300 every character is NFC; below U+0080 it is in every form.
  const uint8_t first_changing_byte = form == NormalForm::kNfc ? 0xCC : 0x80;
  if (std::none_of(text.begin(), text.end(),
                   [&](char byte) { return static_cast<uint8_t>(byte) >= first_changing_byte; })) {
    return std::string(text);
  }
  auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                (compatible ? UTF8PROC_COMPAT : 0));
  CodePoints chars;
  chars.reserve(text.size());
  for_each_char(text, [&](char32_t c, std::string_view) {
    if (c < 0x80 || find_range(kNotDecomposed, c) != nullptr) {
      chars.push_back(static_cast<utf8proc_int32_t>(c));
    } else {
      append_decomposed(chars, c, options);
    }
  });
  order_marks(chars);
  if (compose) {
    const auto count = utf8proc_normalize_utf32(
        chars.data(), static_cast<utf8proc_ssize_t>(chars.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    CHECK(count >= 0, "composing {} characters", chars.size());
    chars.resize(static_cast<size_t>(count));
  }
  std::string out;
  out.reserve(text.size());
  for (const utf8proc_int32_t c : chars) append_utf8(out, static_cast<char32_t>(c));
  return out;
}

}  // namespace hearth::tokenizer
