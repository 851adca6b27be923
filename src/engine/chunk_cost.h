// What prompts add to a step: so much for each of their tokens, and more the more tokens lie before
// it. Learned from the steps themselves.
//
// A line over the tokens before a token. Its height follows the last few steps, since a machine has
// slow and fast minutes; its slope is that of many, since it belongs to the model. Rows ride along
// for nothing while the weights are read, so a chunk that was far smaller or larger than fits shows
// another cost a token than those that fit: it moves the height, by little, and says nothing of the
// slope.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace hearth::engine {

class ChunkCost {
 public:
  // `guess`: of a token, before anything was seen.
  explicit ChunkCost(Nanos guess) : height_(guess) {}

  // A chunk of `tokens` with `context` tokens before them in all (context_of) added so much to a
  // step that had `room` for it.
  void learn(int32_t tokens, int64_t context, Nanos added, Nanos room);
  // What one would add.
  Nanos time(int32_t tokens, int64_t context) const;

 private:
  // Of a token with so many before it.
  Nanos cost_at(int64_t before) const;
  void learn_slope(int64_t before, Nanos cost);

  Nanos height_;             // cost of a token ...
  int64_t last_before_ = 0;  // ... with so many before it
  // Of the chunks that fitted, over the last kSlopeMemory.
  int64_t seen_ = 0;
  int64_t mean_before_ = 0;
  Nanos mean_cost_ = 0;
  int64_t variance_ = 0;    // of the tokens before
  int64_t covariance_ = 0;  // of those and the cost
};

}  // namespace hearth::engine
