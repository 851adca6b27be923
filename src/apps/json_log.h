// A file of JSON lines that grows while a program runs. What a full disk refuses is kept and
// written with the next line, so that no line is lost or torn.
#pragma once

#include <cstdint>
#include <string>

#include "io/json_fwd.h"

namespace hearth::apps {

class JsonLog {
 public:
  // Appends to the file.
  explicit JsonLog(const std::string& path);
  ~JsonLog();
  JsonLog(const JsonLog&) = delete;
  JsonLog& operator=(const JsonLog&) = delete;

  void write(const io::Json& line);

 private:
  std::string path_;
  int file_ = -1;
  int64_t whole_ = 0;    // bytes of the file that are whole lines
  std::string pending_;  // lines that are not in the file yet
};

}  // namespace hearth::apps
