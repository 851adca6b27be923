#include "engine/drafter.h"

#include <algorithm>

namespace hearth::engine {
namespace {

constexpr size_t kLongestMatch = 4;    // tokens; longer ones hardly guess better
constexpr size_t kShortestMatch = 2;   // a single token comes again too often to say anything
constexpr size_t kLookBack = 1 << 15;  // tokens; the walk stays far below a millisecond
constexpr int32_t kLongestPause = 64;  // steps

// How many tokens before `end`, read backwards, equal the last ones of the text; at most
// kLongestMatch.
size_t match_before(std::span<const TokenId> tokens, size_t end) {
  const size_t most = std::min(kLongestMatch, end);
  size_t length = 0;
  while (length < most && tokens[end - 1 - length] == tokens[tokens.size() - 1 - length]) ++length;
  return length;
}

}  // namespace

void PromptLookup::guess(RequestId, int32_t, std::span<const TokenId> tokens, int32_t most,
                         std::vector<TokenId>& guess) {
  if (tokens.size() <= kShortestMatch) return;
  const size_t lowest = tokens.size() > kLookBack ? tokens.size() - kLookBack : 1;
  size_t best = kShortestMatch - 1;
  size_t from = 0;
  // The latest of the longest matches: what was said last is likeliest to be said again.
  for (size_t end = tokens.size() - 1; end >= lowest && best < kLongestMatch; --end) {
    if (tokens[end - 1] != tokens.back()) continue;
    const size_t length = match_before(tokens, end);
    if (length <= best) continue;
    best = length;
    from = end;
  }
  if (from == 0) return;
  // A text that goes round in a circle shorter than the guess is read round and round.
  for (int32_t i = 0; i < most; ++i) {
    const size_t at = from + static_cast<size_t>(i) % (tokens.size() - from);
    guess.push_back(tokens[at]);
  }
}

int32_t GuessLength::next(int32_t most) {
  if (pause_ == 0) return std::min(length_, most);
  --pause_;
  return 0;
}

void GuessLength::learn(int32_t guessed, int32_t right, int32_t most) {
  length_ = right == guessed ? std::min(2 * length_, most) : std::max(right, 1);
  misses_ = right > 0 ? 0 : std::min(misses_ + 1, 30);
  if (misses_ > 1) pause_ = std::min(1 << (misses_ - 1), kLongestPause);
}

}  // namespace hearth::engine
