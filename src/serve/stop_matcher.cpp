#include "serve/stop_matcher.h"

#include <algorithm>
#include <utility>

namespace hearth::serve {

namespace {

// Length of the longest end of `text` that begins `stop` and is shorter than it.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  }
  return 0;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

std::string StopMatcher::feed(std::string_view text) {
  if (matched_) return {};
  if (stops_.empty()) return std::string(text);
  held_ += text;
  // The one that is complete first wins, as if characters came one at a time; of two that end
  // together, the longer.
  size_t first_end = std::string::npos;
  size_t start = 0;
  size_t keep = 0;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos) {
      keep = std::max(keep, overlap(held_, stop));
      continue;
    }
    const size_t end = at + stop.size();
    if (end > first_end || (end == first_end && at >= start)) continue;
    first_end = end;
    start = at;
    matched_ = stop;
  }
  if (matched_) {
    held_.resize(start);
    return std::exchange(held_, {});
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopMatcher::finish() { return std::exchange(held_, {}); }

}  // namespace hearth::serve
