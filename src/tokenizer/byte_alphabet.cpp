#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

constexpr bool is_printable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Printable bytes stand for themselves; the other 68 follow from U+0100, in order.
struct Alphabet {
  std::array<char16_t, 256> char_of_byte{};
  std::array<int16_t, 256 + 68> byte_of_char{};

  constexpr Alphabet() {
    byte_of_char.fill(-1);
    char16_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const char16_t c = is_printable(byte) ? static_cast<char16_t>(byte) : next++;
      char_of_byte[static_cast<size_t>(byte)] = c;
      byte_of_char[c] = static_cast<int16_t>(byte);
    }
  }
};
constexpr Alphabet kAlphabet;

}  // namespace

void append_byte_chars(std::string& out, std::string_view bytes) {
  for (const char byte : bytes)
    append_utf8(out, kAlphabet.char_of_byte[static_cast<uint8_t>(byte)]);
}

std::optional<std::string> bytes_of_chars(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Char c = decode_char(text.substr(i));
    if (c.value >= kAlphabet.byte_of_char.size() || kAlphabet.byte_of_char[c.value] < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(kAlphabet.byte_of_char[c.value]));
    i += c.bytes;
  }
  return bytes;
}

}  // namespace hearth::tokenizer
