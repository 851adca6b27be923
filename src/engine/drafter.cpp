#include "engine/drafter.h"

#include <algorithm>

namespace hearth::engine {
namespace {

constexpr size_t kLongestMatch = 4;    // tokens; longer ones hardly guess better
constexpr size_t kShortestMatch = 2;   // a single token comes again too often to say anything
constexpr size_t kLookBack = 1 << 15;  // tokens; the walk stays far below a millisecond

// How many tokens before `end`, read backwards, equal the last ones of the text; at most
// kLongestMatch.
size_t match_before(std::span<const TokenId> tokens, size_t end) {
  const size_t most = std::min(kLongestMatch, end);
  size_t length = 0;
  while (length < most && tokens[end - 1 - length] == tokens[tokens.size() - 1 - length]) ++length;
  return length;
}

void look_up(const GuessOrder& order) {
  const std::span<const TokenId> tokens = order.tokens;
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
  for (int32_t i = 0; i < order.most; ++i) {
    const size_t at = from + static_cast<size_t>(i) % (tokens.size() - from);
    order.guess->push_back(tokens[at]);
  }
}

}  // namespace

int32_t PromptLookup::guess(std::span<const GuessOrder> orders) {
  for (const GuessOrder& order : orders) look_up(order);
  return 0;
}

}  // namespace hearth::engine
