// A progress bar on a terminal's standard error; silent elsewhere.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::apps {

class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  // Clears the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(int64_t done, int64_t total);

 private:
  const std::string label_;
  const bool visible_;
  int64_t last_percent_ = -1;
};

}  // namespace hearth::apps
