// GPT-2's alphabet: one printable character for each byte, so that byte strings can be written as
// text in vocabularies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hearth::tokenizer {

void append_byte_chars(std::string& out, std::string_view bytes);

// The bytes that `text` stands for; nothing where a character is outside the alphabet.
std::optional<std::string> bytes_of_chars(std::string_view text);

}  // namespace hearth::tokenizer
