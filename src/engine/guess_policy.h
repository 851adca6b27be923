// How many tokens to guess for whom, by what guesses were worth lately and what they cost.
//
// A step without guesses takes so long and brings one token a sequence; each guess makes it longer
// by so much (its row of the model, and the work of the drafter) and brings a token as often as it
// and all guesses before it are right. A guess is made while it brings more tokens in its time than
// the step does without it. Both times are learned from the steps themselves, for each number of
// sequences that generate; so the same rule serves a drafter that costs nothing and a model, and on
// a busy machine, where rows are no longer free, guesses end by themselves.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"

namespace hearth::engine {

// How often guesses were right; recent ones count more. And when to try again where none pays.
class GuessRate {
 public:
  // Of 1000.
  int32_t permille() const { return static_cast<int32_t>(int64_t{right_} * 1000 / checked_); }
  // A run of `guessed` > 0 guesses of which the first `right` were right.
  void learn(int32_t guessed, int32_t right);
  // The same rate with as little weight as that of a sequence that has just begun.
  GuessRate begun() const;

  // Guesses pay.
  void paid() { pause_length_ = 0; }
  // They do not: true when it is time to see whether that is still so. Call once a step of so many
  // sequences, which all try and share the price; what was learned next is taken as the answer.
  bool tries(int32_t sequences);

 private:
  void halve();

  int32_t right_ = 6, checked_ = 8;  // a hopeful start
  int32_t trying_ = 0;               // in a step of so many sequences; 0: not
  int32_t pause_ = 0;                // steps still to come
  int32_t pause_length_ = 0;         // of the last pause
};

// One sequence that may be guessed at.
struct GuessCandidate {
  GuessRate* rate = nullptr;
  int32_t most = 0;     // guesses that there is room for
  int32_t unread = 0;   // tokens that the drafter would have to read first
  int32_t written = 0;  // tokens of its answer so far
  int32_t guesses = 0;  // what choose() decides
};

class GuessPolicy {
 public:
  // Steps of up to `sequences` that generate.
  explicit GuessPolicy(int32_t sequences);

  // Of a step in which so many generate, and which has room for `rows` guesses. Call once a step.
  void choose(int32_t sequences, int32_t rows, std::span<GuessCandidate> candidates);
  // What became of the guesses for one.
  void learn_rate(GuessRate& rate, int32_t guessed, int32_t right);
  // A step of nothing but these took so long: `guesses` in all, and `read` tokens that the drafter
  // had to read.
  void learn_step(int32_t sequences, int32_t guesses, int32_t read, Nanos duration);
  // For a sequence that begins: what is true of all.
  GuessRate begun() const { return overall_.begun(); }

 private:
  struct Pace {
    bool known = false;    // `plain` was measured
    Nanos plain = 0;       // a step without guesses
    bool guessed = false;  // `guess` was measured
    Nanos guess = 0;       // what each guess adds
    int32_t since = 0;     // steps with guesses since the last one without
  };
  // Time and tokens, in thousandths, of the step that is being filled.
  struct Worth {
    Nanos time = 0;
    int64_t tokens = 0;
  };

  Worth spread(const Pace& pace, int32_t sequences, int32_t rows,
               std::span<GuessCandidate> candidates) const;
  bool may_read(const GuessCandidate& candidate, int32_t sequences, Nanos saved) const;

  std::vector<Pace> paces_;  // by sequences
  GuessRate overall_;
  bool reading_known_ = false;
  Nanos reading_ = 0;     // what each token that is read adds to a step
  int32_t may_read_ = 0;  // tokens that may be read where guesses do not pay
};

}  // namespace hearth::engine
