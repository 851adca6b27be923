#include "forge/replicas/scaler.h"

#include <algorithm>
#include <cmath>

namespace hearth::forge {
namespace {

// Of what one replica less could serve: so full may it be before that one is kept.
constexpr double kRoomy = 0.7;

}  // namespace

int32_t Scaler::least(const DeploymentLoad& load) const {
  const double for_ptu =
      terms_.ptu > 0 && load.ptu_each > 0 ? std::ceil(terms_.ptu / load.ptu_each) : 0;
  return std::clamp(static_cast<int32_t>(std::min<double>(for_ptu, terms_.max_replicas)),
                    terms_.min_replicas, terms_.max_replicas);
}

int32_t Scaler::wanted(Millis now, const DeploymentLoad& load) {
  const int32_t floor = least(load);
  const int32_t have = std::clamp(load.replicas, floor, terms_.max_replicas);
  const auto ready = static_cast<double>(load.ready);
  const bool crowded = static_cast<double>(load.waiting) > terms_.waiting_each * ready;
  const double busy = static_cast<double>(load.running + load.waiting);
  const bool roomy = load.ready > floor && load.waiting == 0 &&
                     busy <= (ready - 1) * terms_.requests_each * kRoomy;
  if (!crowded) crowded_since_ = -1;
  if (!roomy) roomy_since_ = -1;
  if (crowded && crowded_since_ < 0) crowded_since_ = now;
  if (roomy && roomy_since_ < 0) roomy_since_ = now;
  // Whoever is starting may be enough: nobody else is called before it is seen.
  const bool settled = load.ready >= load.replicas;
  if (crowded && settled && now >= crowded_since_ + terms_.up_after_ms) {
    crowded_since_ = now;
    const auto more = static_cast<int32_t>(
        std::ceil(static_cast<double>(load.waiting) / std::max(1.0, terms_.requests_each)));
    // At most twice as many at once: the queue that was seen is older than they will be.
    return std::min(have + std::clamp(more, 1, std::max(1, have)), terms_.max_replicas);
  }
  if (roomy && settled && now >= roomy_since_ + terms_.down_after_ms) {
    roomy_since_ = now;
    return std::max(have - 1, floor);
  }
  return have;
}

}  // namespace hearth::forge
