// What a step takes, and what a token is worth. Integers: measured elsewhere (src/flywheel), used
// here in virtual and in real time alike.
//
// A step's time is a sum over what it holds:
//
//   step + prompt_token * P + prompt_context * sum over prompt tokens of the tokens before them
//        + sequence * G + context * tokens that the G generating sequences attend to
//        + adapter * distinct adapters + adapter_row * rows that use one
//
// Prices follow from it. The unit is one prompt token, averaged over a prompt of
// kReferencePrompt tokens; costs are counted in millionths of a unit. What a step takes whatever it
// holds is nobody's: it is the part of the machine that cannot be sold (saleable_permille).
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "engine/types.h"

namespace hearth::engine {

constexpr int32_t kReferencePrompt = 1000;

// What one step computes.
struct StepWork {
  int32_t prompt_tokens = 0;       // rows of prompts, of recomputed text and of guesses
  int64_t prompt_context = 0;      // for each of those the tokens before it, summed up
  int32_t generating = 0;          // sequences that compute one token
  int64_t generating_context = 0;  // tokens before those
  int32_t adapters = 0;            // different ones
  int32_t adapter_rows = 0;
  // Rows of guesses, and tokens that were read to make them: time that says nothing of the rest.
  int32_t drafted = 0;
};

// The tokens before each of `count` tokens that come after `computed` others, summed up.
int64_t context_of(int32_t computed, int32_t count);

// Picoseconds.
struct CostModel {
  int64_t step_ps = 0;
  int64_t prompt_token_ps = 0;
  int64_t prompt_context_ps = 0;
  int64_t sequence_ps = 0;
  int64_t context_ps = 0;
  int64_t adapter_ps = 0;
  int64_t adapter_row_ps = 0;

  bool known() const { return prompt_token_ps > 0; }
  Nanos time(const StepWork& work) const;
  // Of a prompt token: see the file comment.
  int64_t unit_ps() const;
  // Of each thousand of the time of full steps, what goes into tokens.
  int32_t saleable_permille(Nanos step_time) const;
};

// Millionths of a unit. The defaults are those of a model nobody has measured.
struct TokenPrices {
  Cost prompt = kCostPerUnit;
  Cost prompt_context = 0;  // for each token before a prompt token
  Cost generated = 3 * kCostPerUnit;
  Cost context = 0;  // for each token before a generated one
  Cost adapter = 0;  // more, for each token computed with an adapter

  // Prompt tokens [cached, prompt).
  Cost of_prompt(int32_t cached, int32_t prompt, AdapterId adapter) const;
  // `count` tokens generated after `context` others.
  Cost of_tokens(int64_t context, int32_t count, AdapterId adapter) const;

  bool operator==(const TokenPrices&) const = default;
};

// What tokens cost where `sequences` can generate at once. With few of them even a full house makes
// short steps, and the time that a step takes whatever it holds is theirs too.
TokenPrices prices_of(const CostModel& costs, Nanos step_time, int32_t sequences);

// What the machine does in a minute of full steps.
Cost capacity_per_minute(const CostModel& costs, Nanos step_time);

}  // namespace hearth::engine
