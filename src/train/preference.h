// Direct preference optimisation (Rafailov et al. 2023), as arithmetic over log probabilities.
#pragma once

namespace hearth::train {

// log p of a reply under the model that is trained and under the base.
struct ReplyLikelihood {
  double trained = 0;
  double base = 0;
};

struct PreferenceLoss {
  double loss = 0;    // -log σ(margin)
  double margin = 0;  // β ((trained - base) of the preferred - that of the other)
  double slope = 0;   // d loss / d (trained of the preferred); that of the other is -slope
};

PreferenceLoss preference_loss(const ReplyLikelihood& preferred, const ReplyLikelihood& other,
                               double beta);

}  // namespace hearth::train
