#include "apps/progress.h"

#include <cstdio>
#include <unistd.h>
#include <utility>

namespace hearth::apps {

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), visible_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (last_permille_ >= 0) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(int64_t done, int64_t total) {
  if (!visible_ || total <= 0) return;
  const int64_t permille = done * 1000 / total;
  if (permille == last_permille_) return;
  last_permille_ = permille;
  constexpr int64_t kWidth = 32;
  std::string bar;
  for (int64_t i = 0; i < kWidth; ++i) bar += i * 1000 < permille * kWidth ? "━" : "─";
  std::fprintf(stderr, "\r\033[K%s %s %3lld %%", label_.c_str(), bar.c_str(),
               static_cast<long long>(permille / 10));
}

}  // namespace hearth::apps
