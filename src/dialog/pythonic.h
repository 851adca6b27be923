// Calls written as Python: [weather(city="Oslo", days=[1, 2]), time()]. They are known when the
// outer bracket closes, so nothing is told before that.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::dialog {

class PythonicCalls {
 public:
  enum class Status { kReading, kDone, kBroken };

  // Takes the bytes of the list off the front of `text`; the first byte ever given is its '['.
  Status feed(std::string_view& text);
  // Once done: names, and arguments as JSON text.
  const std::vector<std::pair<std::string, std::string>>& calls() const { return calls_; }

 private:
  bool step(char c);

  std::string text_;
  std::vector<std::pair<std::string, std::string>> calls_;
  int depth_ = 0;
  char quote_ = '\0';
  bool escaped_ = false;
};

}  // namespace hearth::dialog
