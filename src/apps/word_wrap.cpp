#include "apps/word_wrap.h"

#include <algorithm>
#include <cwchar>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace hearth::apps {
namespace {

size_t bytes_of_character(std::string_view text) {
  const auto c = static_cast<unsigned char>(text[0]);
  const size_t bytes = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  return std::min(bytes, text.size());
}

int columns_of(std::string_view character) {
  std::mbstate_t state{};
  wchar_t wide = 0;
  const size_t used = std::mbrtowc(&wide, character.data(), character.size(), &state);
  return used <= character.size() ? std::max(wcwidth(wide), 0) : 1;
}

}  // namespace

std::string WordWrap::feed(std::string_view text) {
  if (columns_ <= 0) return std::string(text);
  std::string out;
  while (!text.empty()) {
    const size_t bytes = bytes_of_character(text);
    out += put(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return out;
}

std::string WordWrap::put(std::string_view character) {
  if (character == "\n") {
    column_ = word_columns_ = 0;
    word_.clear();
    return "\n";
  }
  const int wide = columns_of(character);
  if (character == " ") {
    word_.clear();
    word_columns_ = 0;
    // A space at the edge is the line break.
    if (column_ + 1 >= columns_) {
      column_ = 0;
      return "\n";
    }
    ++column_;
    return " ";
  }
  std::string out;
  if (column_ + wide > columns_) {
    const bool fits = word_columns_ < column_;
    if (fits && word_columns_ > 0) out = fmt::format("\033[{}D\033[K", word_columns_);
    out += "\n";
    if (fits) {
      out += word_;
    } else {
      word_.clear();
      word_columns_ = 0;
    }
    column_ = word_columns_;
  }
  word_ += character;
  word_columns_ += wide;
  column_ += wide;
  return out + std::string(character);
}

int terminal_columns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

}  // namespace hearth::apps
