// UTF-8 and the character classes that Hugging Face's tokenizers ask about. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::tokenizer {

inline constexpr char32_t kReplacementChar = 0xFFFD;
inline constexpr std::string_view kReplacementUtf8 = "\xEF\xBF\xBD";

// One decoded character. An invalid sequence has valid == false, value U+FFFD and the length of its
// maximal subpart (the bytes that one U+FFFD stands for, as in WHATWG and in Rust's lossy strings).
struct Char {
  char32_t value = 0;
  uint8_t bytes = 0;
  bool valid = true;
  bool truncated = false;  // invalid only because the text ends inside a possible character
};

// The character at the front of `text`, which is not empty.
Char decode_char(std::string_view text);

void append_utf8(std::string& out, char32_t c);

inline bool is_continuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

bool is_valid_utf8(std::string_view text);

// `text` with each invalid sequence replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

// Calls visit(char32_t value, std::string_view bytes) for each character of valid UTF-8.
template <typename Visit>
void for_each_char(std::string_view text, Visit&& visit) {
  for (size_t i = 0; i < text.size();) {
    const Char c = decode_char(text.substr(i));
    visit(c.value, text.substr(i, c.bytes));
    i += c.bytes;
  }
}

// Start of the last character of valid, non-empty UTF-8.
size_t last_char_start(std::string_view text);

bool is_white_space(char32_t c);      // Unicode's White_Space
bool is_numeric(char32_t c);          // Nd, Nl, No
bool is_punctuation(char32_t c);      // P* or ASCII punctuation
bool is_word(char32_t c);             // \w of Rust's regex: Alphabetic, M, Nd, Pc, Join_Control
bool is_other(char32_t c);            // C*: control, format, surrogate, private use
bool is_mark(char32_t c);             // M*
bool is_nonspacing_mark(char32_t c);  // Mn
// A number for each script as UnicodeScripts knows them; 0 for what goes with any script.
uint8_t script_of(char32_t c);
void append_lowercase(std::string& out, char32_t c);  // the full mapping

// Whether `text` has characters that are newer than PCRE2's tables.
bool has_recent_chars(std::string_view text);
// Those of them that have a property (a general category, "Alphabetic", "Han"), as members of a
// PCRE2 character class; "" where there are none.
std::string recent_chars_of(std::string_view property);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// Linear in the text, however many combining marks follow one another.
std::string normalize(std::string_view text, NormalForm form);

}  // namespace hearth::tokenizer
