// What guesses are made, and whether they pay: the policy against machines in virtual time.
#include "engine/guess_policy.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace hearth::engine {
namespace {

// A step takes the weights, and each guess what the drafter and the row take; each sequence is
// guessed rightly so often.
struct GuessMachine {
  Nanos plain = 20 * kMillisecond;
  Nanos guess = 2 * kMillisecond;
  Nanos read = 100 * kMicrosecond;
  int32_t right_permille = 700;
};

class GuessedTexts {
 public:
  GuessedTexts(const GuessMachine& machine, int32_t sequences)
      : machine_(machine), policy_(kSequencesMost) {
    rates_.resize(static_cast<size_t>(sequences));
    written_.resize(rates_.size());
    unread_.resize(rates_.size());
  }

  void set(const GuessMachine& machine) { machine_ = machine; }
  void begin_texts(int32_t unread) {
    for (size_t i = 0; i < rates_.size(); ++i) {
      rates_[i] = policy_.begun();
      written_[i] = 0;
      unread_[i] = unread;
    }
  }

  void steps(int count) {
    time_ = tokens_ = guesses_ = read_ = 0;
    for (int i = 0; i < count; ++i) step();
  }
  // Time of a token, per thousand of what it takes without guesses.
  int64_t slowness() const { return time_ * 1000 / (machine_.plain * tokens_ / sequences()); }
  int64_t guesses() const { return guesses_; }
  int64_t read() const { return read_; }

 private:
  static constexpr int32_t kSequencesMost = 8, kRows = 8, kMost = 5, kReadAtOnce = 128;

  int64_t sequences() const { return std::ssize(rates_); }

  void step() {
    std::vector<GuessCandidate> candidates;
    for (size_t i = 0; i < rates_.size(); ++i) {
      candidates.push_back({&rates_[i], kMost, unread_[i], written_[i]});
    }
    const int32_t count = static_cast<int32_t>(sequences());
    policy_.choose(count, kRows - count, candidates);
    int32_t guesses = 0, read = 0;
    for (size_t i = 0; i < rates_.size(); ++i) {
      int32_t right = 0;
      const int32_t asked = candidates[i].guesses;
      const int32_t now = asked > 0 ? std::min(std::max(unread_[i] - 2, 0), kReadAtOnce) : 0;
      read += now;
      unread_[i] -= now;
      if (asked > 0 && unread_[i] <= 2) {
        while (right < asked && random_.below(1000) < uint64_t(machine_.right_permille)) ++right;
        policy_.learn_rate(rates_[i], asked, right);
        guesses += asked;
        unread_[i] = 1;
      } else {
        ++unread_[i];
      }
      written_[i] += 1 + right;
      tokens_ += 1 + right;
    }
    const Nanos took = machine_.plain + guesses * machine_.guess + read * machine_.read;
    policy_.learn_step(count, guesses, read, took);
    time_ += took;
    guesses_ += guesses;
    read_ += read;
  }

  GuessMachine machine_;
  GuessPolicy policy_;
  Random random_{7};
  std::vector<GuessRate> rates_;
  std::vector<int32_t> written_, unread_;
  int64_t time_ = 0, tokens_ = 0, guesses_ = 0, read_ = 0;
};

TEST(GuessRate, FollowsWhatIsSeen) {
  GuessRate rate;
  for (int i = 0; i < 100; ++i) rate.learn(4, 4);
  EXPECT_GT(rate.permille(), 980);
  for (int i = 0; i < 60; ++i) rate.learn(1, 0);
  EXPECT_LT(rate.permille(), 250);
  EXPECT_NEAR(rate.begun().permille(), rate.permille(), 125);
}

TEST(GuessPolicy, FirstSeesAStepWithoutGuesses) {
  GuessPolicy policy(8);
  GuessRate rate;
  GuessCandidate one{&rate, 5, 1, 10};
  policy.choose(1, 7, {&one, 1});
  EXPECT_EQ(one.guesses, 0);
  policy.learn_step(1, 0, 0, kMillisecond);
  policy.choose(1, 7, {&one, 1});
  EXPECT_EQ(one.guesses, 5) << "nothing is known of their price yet";
}

TEST(GuessPolicy, HasNoMoreRowsThanItIsGiven) {
  GuessPolicy policy(8);
  policy.learn_step(3, 0, 0, kMillisecond);
  std::vector<GuessRate> rates(3);
  std::vector<GuessCandidate> all;
  for (GuessRate& rate : rates) all.push_back({&rate, 5, 1, 10});
  policy.choose(3, 4, all);
  EXPECT_EQ(all[0].guesses + all[1].guesses + all[2].guesses, 4);
  policy.choose(9, 4, all);
}

TEST(GuessPolicy, ADraftModelPaysForItself) {
  GuessedTexts run({.right_permille = 800}, 1);
  run.steps(300);
  run.steps(1000);
  // Of guesses that cost a tenth of a step each, four or five at once make 0.44 of the time.
  EXPECT_LT(run.slowness(), 520);
}

TEST(GuessPolicy, WhatDoesNotPayIsHardlyTried) {
  for (const GuessMachine& machine :
       {GuessMachine{.guess = 15 * kMillisecond, .right_permille = 500},
        GuessMachine{.guess = 4 * kMillisecond, .right_permille = 100},
        GuessMachine{.guess = 30 * kMillisecond, .right_permille = 950}}) {
    GuessedTexts run(machine, 1);
    run.steps(300);
    run.steps(4000);
    EXPECT_LT(run.slowness(), 1030) << machine.guess << " " << machine.right_permille;
  }
}

// Beside seven others a row is no longer free.
TEST(GuessPolicy, ABusyMachineIsNotSlowed) {
  GuessedTexts run({.guess = 9 * kMillisecond, .right_permille = 700}, 6);
  run.steps(300);
  run.steps(2000);
  EXPECT_LT(run.slowness(), 1030);
}

TEST(GuessPolicy, NoticesThatTextsHaveBecomePredictable) {
  GuessedTexts run({.guess = 4 * kMillisecond, .right_permille = 50}, 1);
  run.steps(1000);
  EXPECT_LT(run.guesses(), 200);
  run.set({.guess = 4 * kMillisecond, .right_permille = 900});
  run.steps(300);
  run.steps(500);
  EXPECT_LT(run.slowness(), 700);
}

// An answer of few tokens never pays for reading a long prompt a second time.
TEST(GuessPolicy, LongPromptsAreReadOnceThatPays) {
  GuessedTexts run({.right_permille = 800}, 1);
  run.begin_texts(500);
  run.steps(300);
  int64_t time = 0, read = 0;
  for (int text = 0; text < 20; ++text) {
    run.begin_texts(8000);
    run.steps(20);
    time += run.slowness();
    read += run.read();
  }
  EXPECT_LT(read, 8000) << "of 160,000";
  EXPECT_LT(time / 20, 1050);
  run.begin_texts(8000);
  run.steps(400);
  EXPECT_GT(run.read(), 7900);
}

}  // namespace
}  // namespace hearth::engine
