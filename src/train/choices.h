// Multiple choice by likelihood: a model has answered a question when the right choice is the one
// it finds most likely to follow.
//
// One question is a JSON object; these spellings of datasets are read:
//   text     prompt, question, query, ctx or sentence
//   choices  choices, options or endings: a list, or {"text": [...], "label": [...]} (ARC);
//            perturbed_answer or incorrect_answers: a list of wrong ones beside `answer` (TOFU)
//   answer   answer, label, gold, answerKey or correct: a place in the list, a letter, or the text
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::train {

struct Question {
  std::string prompt;
  std::vector<std::string> choices;
  size_t answer = 0;  // its place among them
};

// Throws Error naming what is missing or out of range.
Question parse_question(const io::Json& json, const std::string& where);
// A JSONL file, in its order. Errors name the line.
void read_questions(const std::string& path, const std::function<void(const Question&)>& take);

// A prompt and what may follow it, as token ids. `choice` begins behind the last token that both
// share with the prompt alone.
struct Continuation {
  std::vector<int32_t> tokens;
  size_t choice_begin = 0;
  int64_t choice_bytes = 0;
};

// The choice is joined with a space, unless either side brings one.
Continuation continue_prompt(const std::string& prompt, const std::string& choice,
                             const std::function<std::vector<int32_t>(const std::string&)>& encode);

struct ChoiceScore {
  int64_t questions = 0;
  int64_t right = 0;           // by the likelihood of the whole choice
  int64_t right_per_byte = 0;  // by that divided by its bytes: long choices are not worse off
  double chance = 0;           // Σ of 1 / choices: what guessing would have got right
  double answer_nats = 0;      // Σ of -log p of the right choices
};

// How much of a surprise each token of a text but the first is, in nats: [tokens - 1]. Asked for
// texts of two tokens or more.
using TextLosses = std::function<std::vector<float>(std::span<const int32_t> tokens)>;

// Adds one question. Prompts that are too long lose their beginning.
void score_question(const TextLosses& losses, const Question& question,
                    const std::function<std::vector<int32_t>(const std::string&)>& encode,
                    int64_t context, ChoiceScore& score);

}  // namespace hearth::train
