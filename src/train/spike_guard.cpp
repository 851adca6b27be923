#include "train/spike_guard.h"

#include <cmath>

namespace hearth::train {

bool SpikeGuard::is_spike(double value) {
  if (!std::isfinite(value)) return true;
  if (deviations_ > 0 && history_.size() == static_cast<size_t>(window_)) {
    double mean = 0;
    for (double x : history_) mean += x;
    mean /= window_;
    double variance = 0;
    for (double x : history_) variance += (x - mean) * (x - mean);
    variance /= window_;
    if (variance > 0 && value > mean + deviations_ * std::sqrt(variance)) return true;
  }
  history_.push_back(value);
  if (history_.size() > static_cast<size_t>(window_)) history_.erase(history_.begin());
  return false;
}

}  // namespace hearth::train
