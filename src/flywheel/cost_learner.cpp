#include "flywheel/cost_learner.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::flywheel {
namespace {

constexpr size_t kKept = 1024;
constexpr int32_t kStepsPerFit = 256;
constexpr int64_t kLeastOfEach = 32;  // steps with prompts, and steps with sequences

}  // namespace

std::optional<engine::CostModel> CostLearner::learn(const engine::StepWork& work, Nanos duration) {
  if (duration <= 0) return std::nullopt;
  if (samples_.size() < kKept) {
    samples_.push_back({work, duration});
  } else {
    samples_[next_] = {work, duration};
    next_ = (next_ + 1) % kKept;
  }
  if (++since_fit_ < kStepsPerFit || !telling()) return std::nullopt;
  since_fit_ = 0;
  try {
    return fit_costs(samples_);
  } catch (const Error&) {
    return std::nullopt;  // what these steps have in common hides what a token takes
  }
}

bool CostLearner::telling() const {
  const auto count = [&](auto holds) {
    return std::count_if(samples_.begin(), samples_.end(), holds);
  };
  return count([](const StepSample& s) { return s.work.prompt_tokens > 0; }) >= kLeastOfEach &&
         count([](const StepSample& s) { return s.work.generating > 0; }) >= kLeastOfEach;
}

}  // namespace hearth::flywheel
