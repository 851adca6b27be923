// Leaves out updates whose loss or gradient norm is far outside what the last steps had: one bad
// batch must not undo hours (the z-score rule of llm.c's outlier detector).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace hearth::train {

class SpikeGuard {
 public:
  // Judges once `window` steps were seen; `deviations` standard deviations above their mean is a
  // spike. deviations 0: never.
  SpikeGuard(int window, double deviations) : window_(window), deviations_(deviations) {}

  // True when the value is a spike or not finite. Spikes do not enter the window.
  bool is_spike(double value);

  const std::vector<double>& history() const { return history_; }
  void restore(std::vector<double> history) { history_ = std::move(history); }

 private:
  int window_;
  double deviations_;
  std::vector<double> history_;  // the last `window` values, oldest first
};

}  // namespace hearth::train
