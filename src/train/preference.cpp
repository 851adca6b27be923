#include "train/preference.h"

#include <cmath>

namespace hearth::train {

PreferenceLoss preference_loss(const ReplyLikelihood& preferred, const ReplyLikelihood& other,
                               double beta) {
  PreferenceLoss out;
  out.margin = beta * ((preferred.trained - preferred.base) - (other.trained - other.base));
  // log(1 + e^-m), without overflow on either side.
  out.loss = std::log1p(std::exp(-std::fabs(out.margin))) + (out.margin < 0 ? -out.margin : 0);
  out.slope = -beta / (1 + std::exp(out.margin));
  return out;
}

}  // namespace hearth::train
