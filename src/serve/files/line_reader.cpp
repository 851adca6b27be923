#include "serve/files/line_reader.h"

#include "base/error.h"

namespace hearth::serve {

LineReader::LineReader(const std::string& path, int64_t line_bytes_max)
    : file_(path, std::ios::binary), line_bytes_max_(line_bytes_max) {
  if (!file_) throw_error(ErrorCode::kNotFound, "file", "the bytes of the file are gone");
}

bool LineReader::next() {
  text_.clear();
  begin_ = end_;
  std::streambuf& bytes = *file_.rdbuf();
  int c = bytes.sbumpc();
  if (c == std::char_traits<char>::eof()) return false;
  ++number_;
  for (; c != std::char_traits<char>::eof(); c = bytes.sbumpc()) {
    ++end_;
    if (c == '\n') break;
    text_ += static_cast<char>(c);
    if (std::ssize(text_) > line_bytes_max_) {
      throw_error(ErrorCode::kTooLarge, std::to_string(number_),
                  "line {} is longer than line_bytes_max = {} bytes", number_, line_bytes_max_);
    }
  }
  if (text_.ends_with('\r')) text_.pop_back();
  return true;
}

std::string read_part(const std::string& path, int64_t begin, int64_t bytes) {
  std::ifstream file(path, std::ios::binary);
  std::string out(static_cast<size_t>(bytes), '\0');
  file.seekg(begin);
  file.read(out.data(), bytes);
  if (!file) throw_error(ErrorCode::kNotFound, "file", "the bytes of the file are gone");
  return out;
}

}  // namespace hearth::serve
