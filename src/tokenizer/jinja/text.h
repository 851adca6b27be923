// UTF-8 as Python's str sees it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::tokenizer::jinja {

// Replaces whatever is not UTF-8 with U+FFFD.
std::u32string decode_utf8(std::string_view text);
std::string encode_utf8(std::u32string_view points);
void append_utf8(std::string& out, char32_t point);
// Number of code points; O(bytes).
size_t length_utf8(std::string_view text);
// Byte offset of the n-th code point, or text.size().
size_t offset_utf8(std::string_view text, size_t points);
// First code point of text and its size in bytes; text is not empty.
char32_t first_point(std::string_view text, size_t* bytes);

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_digit(char32_t c);
bool is_numeric(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_title(char32_t c);
bool is_printable(char32_t c);
// Case maps; ß and the ligatures grow as Python's do.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);        // str.title
std::string to_capitalized(std::string_view text);  // str.capitalize

enum class Side : uint8_t { kLeft, kRight, kBoth };
// str.strip family: whitespace, or any of the code points of `chars`.
std::string_view strip_space(std::string_view text, Side side);
std::string_view strip_points(std::string_view text, std::string_view chars, Side side);

// Byte position of needle at or after `from`, or npos; linear time.
size_t find_text(std::string_view text, std::string_view needle, size_t from = 0);
size_t rfind_text(std::string_view text, std::string_view needle);
std::string replace_text(std::string_view text, std::string_view old_text,
                         std::string_view new_text, int64_t count);

std::string escape_html(std::string_view text);

}  // namespace hearth::tokenizer::jinja
