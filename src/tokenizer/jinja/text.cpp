#include "tokenizer/jinja/text.h"

#include <cstring>
#include <utf8proc.h>

namespace hearth::tokenizer::jinja {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

int plain_category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// The few letters whose upper case is longer and that appear in running text.
const char32_t* long_upper(char32_t c) {
  switch (c) {
    case 0xDF:
      return U"SS";
    case 0xFB00:
      return U"FF";
    case 0xFB01:
      return U"FI";
    case 0xFB02:
      return U"FL";
    case 0x149:
      return U"\u02BCN";
    default:
      return nullptr;
  }
}

void append_upper(std::string& out, char32_t c) {
  if (const char32_t* longer = long_upper(c)) {
    for (; *longer != 0; ++longer) append_utf8(out, *longer);
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<int32_t>(c))));
  }
}

void append_title(std::string& out, char32_t c) {
  if (const char32_t* longer = long_upper(c)) {
    append_utf8(out, longer[0]);
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(longer[1]))));
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<int32_t>(c))));
  }
}

void append_lower(std::string& out, char32_t c) {
  if (c == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<int32_t>(c))));
  }
}

// Greek sigma at the end of a word has a form of its own.
bool final_sigma(const std::u32string& points, size_t i) {
  const bool before = i > 0 && is_alpha(points[i - 1]);
  const bool after = i + 1 < points.size() && is_alpha(points[i + 1]);
  return before && !after;
}

void append_lower_at(std::string& out, const std::u32string& points, size_t i) {
  if (points[i] == 0x3A3 && final_sigma(points, i)) {
    append_utf8(out, 0x3C2);
  } else {
    append_lower(out, points[i]);
  }
}

template <typename Drop>
std::string_view strip_if(std::string_view text, Side side, Drop drop) {
  if (side != Side::kRight) {
    size_t bytes = 0;
    while (!text.empty() && drop(first_point(text, &bytes))) text.remove_prefix(bytes);
  }
  if (side != Side::kLeft) {
    while (!text.empty()) {
      size_t start = text.size() - 1;
      while (start > 0 && is_continuation(text[start]) && text.size() - start < 4) --start;
      size_t bytes = 0;
      if (!drop(first_point(text.substr(start), &bytes))) break;
      text.remove_suffix(text.size() - start);
    }
  }
  return text;
}

}  // namespace

char32_t first_point(std::string_view text, size_t* bytes) {
  utf8proc_int32_t point = 0;
  const auto used = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                     static_cast<utf8proc_ssize_t>(text.size()), &point);
  *bytes = used > 0 ? static_cast<size_t>(used) : 1;
  return used > 0 ? static_cast<char32_t>(point) : kReplacement;
}

void append_utf8(std::string& out, char32_t point) {
  if (!utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(point))) point = kReplacement;
  utf8proc_uint8_t buffer[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), buffer);
  out.append(reinterpret_cast<const char*>(buffer), static_cast<size_t>(size));
}

std::u32string decode_utf8(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  for (size_t bytes = 0; !text.empty(); text.remove_prefix(bytes)) {
    points.push_back(first_point(text, &bytes));
  }
  return points;
}

std::string encode_utf8(std::u32string_view points) {
  std::string out;
  out.reserve(points.size());
  for (char32_t point : points) append_utf8(out, point);
  return out;
}

size_t length_utf8(std::string_view text) {
  size_t count = 0;
  for (char c : text) count += is_continuation(c) ? 0 : 1;
  return count;
}

size_t offset_utf8(std::string_view text, size_t points) {
  size_t i = 0;
  while (i < text.size() && points > 0) {
    ++i;
    while (i < text.size() && is_continuation(text[i])) ++i;
    --points;
  }
  return i;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_alpha(char32_t c) {
  const int k = plain_category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return plain_category(c) == UTF8PROC_CATEGORY_ND; }

bool is_digit(char32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468);
}

bool is_numeric(char32_t c) {
  const int k = plain_category(c);
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t c) { return plain_category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(char32_t c) {
  return plain_category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA;
}
bool is_title(char32_t c) { return plain_category(c) == UTF8PROC_CATEGORY_LT; }

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (plain_category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string to_upper(std::string_view text) {
  std::string out;
  for (char32_t c : decode_utf8(text)) append_upper(out, c);
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  const std::u32string points = decode_utf8(text);
  for (size_t i = 0; i < points.size(); ++i) append_lower_at(out, points, i);
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  const std::u32string points = decode_utf8(text);
  bool in_word = false;
  for (size_t i = 0; i < points.size(); ++i) {
    const char32_t c = points[i];
    if (in_word) {
      append_lower_at(out, points, i);
    } else {
      append_title(out, c);
    }
    in_word = is_upper(c) || is_lower(c) || is_title(c);
  }
  return out;
}

std::string to_capitalized(std::string_view text) {
  std::string out;
  const std::u32string points = decode_utf8(text);
  for (size_t i = 0; i < points.size(); ++i) {
    if (i == 0) {
      append_title(out, points[i]);
    } else {
      append_lower_at(out, points, i);
    }
  }
  return out;
}

std::string_view strip_space(std::string_view text, Side side) {
  return strip_if(text, side, is_space);
}

std::string_view strip_points(std::string_view text, std::string_view chars, Side side) {
  const std::u32string set = decode_utf8(chars);
  return strip_if(text, side, [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

size_t find_text(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* hit = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (hit == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(hit) - text.data());
}

size_t rfind_text(std::string_view text, std::string_view needle) {
  // Reversed copies keep the search linear whatever the needle.
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const size_t hit = find_text(reversed_text, reversed_needle);
  return hit == std::string_view::npos ? hit : text.size() - hit - needle.size();
}

std::string replace_text(std::string_view text, std::string_view old_text,
                         std::string_view new_text, int64_t count) {
  std::string out;
  size_t done = 0;
  if (old_text.empty()) {
    while (count != 0) {
      --count;
      out += new_text;
      if (done >= text.size()) return out;
      const size_t next = done + offset_utf8(text.substr(done), 1);
      out += text.substr(done, next - done);
      done = next;
    }
  }
  while (count != 0 && !old_text.empty()) {
    const size_t hit = find_text(text, old_text, done);
    if (hit == std::string_view::npos) break;
    out += text.substr(done, hit - done);
    out += new_text;
    done = hit + old_text.size();
    --count;
  }
  out += text.substr(done);
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace hearth::tokenizer::jinja
