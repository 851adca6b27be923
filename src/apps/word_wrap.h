// Breaks streamed text between words at the width of a terminal, though words come in pieces: one
// that turns out too long for its line is taken back and begun anew on the next.
#pragma once

#include <string>
#include <string_view>

namespace hearth::apps {

class WordWrap {
 public:
  // Columns of the terminal; 0: nothing is broken.
  explicit WordWrap(int columns) : columns_(columns) {}

  // What to print for more text.
  std::string feed(std::string_view text);

 private:
  std::string put(std::string_view character);

  const int columns_;
  int column_ = 0;    // of the cursor
  std::string word_;  // on this line since the last space
  int word_columns_ = 0;
};

// Of the terminal behind standard output; 0 where there is none.
int terminal_columns();

}  // namespace hearth::apps
