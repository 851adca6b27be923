#include "engine/guess_policy.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace hearth::engine {
namespace {

// Guesses that a rate remembers, about; and with how many it begins or tries again.
constexpr int32_t kRateMemory = 48, kRateBegun = 8;
constexpr int32_t kGuessPause = 64;  // steps
constexpr int32_t kGuessTrial = 2;   // guesses of a step that sees whether they pay
// A guess brings so much more than it costs, or is not made: times are never known exactly.
constexpr int64_t kMarginPermille = 1100;
// It is right so often, or is not made, however cheap.
constexpr int64_t kLeastGainPermille = 50;
// After so many steps with guesses one without is worth its price: contexts have grown.
constexpr int32_t kGuessTrust = 64;
// Part of what is new that counts. It counts as at most this many times what was known.
constexpr Nanos kGuessMemory = 4, kGuessSurprise = 4;
// So many unread tokens, and those of a pause, are read whenever guesses are asked for.
constexpr int32_t kReadAnyway = 8;
// Where guesses do not pay, each step earns so many tokens of reading for the next trial.
constexpr int32_t kReadEarned = 2, kReadMost = 1 << 16;

Nanos blended_time(bool known, Nanos old, Nanos seen) {
  if (!known) return seen;
  return old +
         (std::min(seen, std::max<Nanos>(old, kMicrosecond) * kGuessSurprise) - old) / kGuessMemory;
}

}  // namespace

void GuessRate::learn(int32_t guessed, int32_t right) {
  if (const int32_t sequences = std::exchange(trying_, 0); sequences > 0) {
    pause_length_ = std::clamp(2 * pause_length_, 1, kGuessPause);
    pause_ = pause_length_ * sequences;
    while (checked_ > kRateBegun) halve();
  }
  if (checked_ > kRateMemory) halve();
  right_ += right;
  checked_ += right + (right < guessed ? 1 : 0);
}

void GuessRate::halve() {
  right_ = (right_ + 1) / 2;
  checked_ = (checked_ + 1) / 2;
}

GuessRate GuessRate::begun() const {
  GuessRate rate;
  rate.checked_ = kRateBegun;
  rate.right_ = static_cast<int32_t>(int64_t{right_} * kRateBegun / checked_);
  return rate;
}

bool GuessRate::tries(int32_t sequences) {
  if (pause_ > 0) --pause_;
  trying_ = pause_ == 0 ? sequences : 0;
  return trying_ > 0;
}

GuessPolicy::GuessPolicy(int32_t sequences) : paces_(static_cast<size_t>(sequences) + 1) {}

void GuessPolicy::choose(int32_t sequences, int32_t rows, std::span<GuessCandidate> candidates) {
  CHECK(sequences > 0, "a step of {} sequences", sequences);
  may_read_ = std::min(may_read_ + kReadEarned, kReadMost);
  if (sequences >= std::ssize(paces_)) return;
  const Pace& pace = paces_[static_cast<size_t>(sequences)];
  if (!pace.known || pace.since >= kGuessTrust) return;
  const Worth worth = spread(pace, sequences, rows, candidates);
  const Nanos saved =
      pace.plain - worth.time * 1000 * sequences / std::max<int64_t>(worth.tokens, 1);
  for (GuessCandidate& one : candidates) rows -= one.guesses;
  for (GuessCandidate& one : candidates) {
    const bool pays = one.guesses > 0;
    if (pays) one.rate->paid();
    if (!pays && rows > 0 && one.rate->tries(sequences)) {
      one.guesses = std::min({kGuessTrial, one.most, rows});
      rows -= one.guesses;
    }
    if (!may_read(one, sequences, pays ? saved : 0)) one.guesses = 0;
  }
}

// The best guess left goes first; with each the step brings more in its time, so the next one has
// to be better than that.
GuessPolicy::Worth GuessPolicy::spread(const Pace& pace, int32_t sequences, int32_t rows,
                                       std::span<GuessCandidate> candidates) const {
  Worth worth{pace.plain, int64_t{1000} * sequences};
  std::vector<int64_t> gains;  // of the next guess for each, in thousandths of a token
  for (const GuessCandidate& one : candidates) gains.push_back(one.rate->permille());
  for (; rows > 0; --rows) {
    size_t best = candidates.size();
    for (size_t i = 0; i < candidates.size(); ++i) {
      const bool open = candidates[i].guesses < candidates[i].most;
      if (open && (best == candidates.size() || gains[i] > gains[best])) best = i;
    }
    if (best == candidates.size() || gains[best] < kLeastGainPermille) break;
    if (gains[best] * worth.time * 1000 < worth.tokens * pace.guess * kMarginPermille) break;
    ++candidates[best].guesses;
    worth.time += pace.guess;
    worth.tokens += gains[best];
    gains[best] = gains[best] * candidates[best].rate->permille() / 1000;
  }
  return worth;
}

// A long text is read once its answer is so long that guesses would have paid for the reading: at
// worst it costs as much again as it could have saved.
bool GuessPolicy::may_read(const GuessCandidate& candidate, int32_t sequences, Nanos saved) const {
  const int32_t anyway = kReadAnyway + kGuessPause * sequences;
  if (!reading_known_ || candidate.unread <= std::max(anyway, may_read_)) return true;
  return candidate.written * saved >= candidate.unread * reading_;
}

void GuessPolicy::learn_rate(GuessRate& rate, int32_t guessed, int32_t right) {
  rate.learn(guessed, right);
  overall_.learn(guessed, right);
}

void GuessPolicy::learn_step(int32_t sequences, int32_t guesses, int32_t read, Nanos duration) {
  may_read_ = std::max(may_read_ - read, 0);
  if (sequences <= 0 || sequences >= std::ssize(paces_)) return;
  Pace& pace = paces_[static_cast<size_t>(sequences)];
  if (guesses == 0 && read == 0) {
    pace.plain = blended_time(pace.known, pace.plain, duration);
    pace.known = true;
    pace.since = 0;
    return;
  }
  pace.since = std::min(pace.since + 1, kGuessTrust);
  const Nanos added = std::max<Nanos>(duration - pace.plain, 0);
  if (read == 0) {
    pace.guess = blended_time(pace.guessed, pace.guess, added / guesses);
    pace.guessed = true;
  } else if (guesses == 0) {
    reading_ = blended_time(reading_known_, reading_, added / read);
    reading_known_ = true;
  }
}

}  // namespace hearth::engine
