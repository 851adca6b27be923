// Lines of a file with where they stand, one at a time and never the whole file.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace hearth::serve {

class LineReader {
 public:
  // Throws Error{kNotFound}.
  LineReader(const std::string& path, int64_t line_bytes_max);

  // False at the end. Throws Error{kTooLarge} naming the number of a line that is too long.
  bool next();
  // Of the line that was read last, without its end; a '\r' before the end is left out too.
  const std::string& text() const { return text_; }
  int64_t number() const { return number_; }  // from 1
  int64_t begin() const { return begin_; }    // in the file
  bool blank() const { return text_.find_first_not_of(" \t") == std::string::npos; }

 private:
  std::ifstream file_;
  const int64_t line_bytes_max_;
  std::string text_;
  int64_t number_ = 0;
  int64_t begin_ = 0;
  int64_t end_ = 0;
};

// The bytes [begin, begin + bytes) of a file. Throws Error when they are not there.
std::string read_part(const std::string& path, int64_t begin, int64_t bytes);

}  // namespace hearth::serve
