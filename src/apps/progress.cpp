#include "apps/progress.h"

#include <cstdio>
#include <unistd.h>
#include <utility>

namespace hearth::apps {

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), visible_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (last_percent_ >= 0) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(int64_t done, int64_t total) {
  if (!visible_ || total <= 0) return;
  const int64_t percent = done * 100 / total;
  if (percent == last_percent_) return;
  last_percent_ = percent;
  constexpr int64_t kWidth = 32;
  std::string bar;
  for (int64_t i = 0; i < kWidth; ++i) bar += i * 100 < percent * kWidth ? "━" : "─";
  std::fprintf(stderr, "\r\033[K%s %s %3lld %%", label_.c_str(), bar.c_str(),
               static_cast<long long>(percent));
}

}  // namespace hearth::apps
