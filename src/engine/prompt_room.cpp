#include "engine/prompt_room.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace hearth::engine {
namespace {

// Of a step of prompts alone: in fewer tokens the weights outweigh what one takes.
constexpr int32_t kLeastTelling = 64;
constexpr int32_t kFirstGuess = 256;  // tokens that are taken to fit, before anything is known
constexpr Nanos kUsualTarget = 100 * kMillisecond;
// A row of a sequence that generates, beside others, takes about this part of one of a prompt: the
// first of them ride along with weights that are read anyway.
constexpr Nanos kRowsOfOne = 2;
constexpr Nanos kNoBound = std::numeric_limits<Nanos>::max();

Nanos first_guess(const StepLimits& limits) {
  return std::max<Nanos>((limits.target > 0 ? limits.target : kUsualTarget) / kFirstGuess, 1);
}

}  // namespace

PromptRoom::PromptRoom(const StepLimits& limits) : limits_(limits), cost_(first_guess(limits)) {}

// Steps of prompts alone tell what a token takes until there are some with both: in those the
// first rows ride along for nothing. The very first says it, whatever was guessed. A short prompt
// that leaves most of the room is cheaper than expected for no other reason.
void PromptRoom::learn(const StepWork& work, Nanos duration) {
  pace_.learn(work, duration);
  if (work.prompt_tokens == 0 || duration <= 0) return;
  if (work.generating == 0) {
    if (mixed_ || work.prompt_tokens < kLeastTelling) return;
    if (!std::exchange(told_, true)) {
      cost_ = ChunkCost(std::max<Nanos>(duration / work.prompt_tokens, 1));
    }
    cost_.learn(work.prompt_tokens, work.prompt_context, duration, duration);
  } else if (pace_.time() > 0) {
    const Nanos room = std::min(room_in_target(), room_in_stretch());
    const Nanos added = duration - pace_.time();
    const Nanos expected = cost_.time(work.prompt_tokens, work.prompt_context);
    if (expected < room / 2 && added < expected) return;
    mixed_ = true;
    cost_.learn(work.prompt_tokens, work.prompt_context, added, room);
  }
}

int32_t PromptRoom::fitting(Nanos room, const StepLoad& load, int32_t most) const {
  return largest_chunk(most, [&](int32_t tokens) {
    return cost_.time(tokens, context_of(load.prompt_context, tokens)) <= room;
  });
}

Nanos PromptRoom::room_in_target() const {
  return limits_.target > 0 ? limits_.target - pace_.time() : kNoBound;
}

Nanos PromptRoom::room_in_stretch() const {
  if (limits_.stretch_permille == 0) return kNoBound;
  return pace_.time() * (limits_.stretch_permille - 1000) / 1000;
}

int32_t PromptRoom::until_target(const StepLoad& load, int32_t most) const {
  return fitting(room_in_target(), load, most);
}

// What is stretched is the step that generation will be once those who are due generate too: each
// makes it longer by a part of what its rows cost.
int32_t PromptRoom::until_stretch(const StepLoad& load, int32_t most) const {
  const Nanos room = room_in_stretch();
  if (room == kNoBound) return fitting(room, load, most);
  const int64_t before = load.generating_context / std::max(load.generating, 1);
  const Nanos longer = load.prompts_due * cost_.time(1, before) / kRowsOfOne;
  return fitting(room + longer * limits_.stretch_permille / 1000, load, most);
}

}  // namespace hearth::engine
