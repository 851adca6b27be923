// Cuts a text, as it is generated, where the first of some stop strings is complete. Text that may
// still turn out to be part of one is held back; what is found is never emitted. Where the text was
// cut into pieces makes no difference.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::serve {

class StopMatcher {
 public:
  // Empty strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // Text that may be emitted now. After a match everything that comes is swallowed.
  std::string feed(std::string_view text);
  // What is still held back, once nothing more comes.
  std::string finish();
  // The stop string that was found.
  const std::optional<std::string>& matched() const { return matched_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  std::optional<std::string> matched_;
};

}  // namespace hearth::serve
