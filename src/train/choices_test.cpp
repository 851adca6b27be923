#include "train/choices.h"

#include <cmath>
#include <gtest/gtest.h>

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/train_kernels.h"
#include "base/error.h"
#include "io/json.h"
#include "train/model.h"

namespace hearth::train {
namespace {

Question parse(const char* json) { return parse_question(io::parse_json(json, "q"), "q:1"); }

TEST(Choices, SpellingsOfDatasets) {
  const Question mmlu = parse(R"({"question": "2 + 2?", "choices": ["3", "4"], "answer": 1})");
  EXPECT_EQ(mmlu.prompt, "2 + 2?");
  EXPECT_EQ(mmlu.answer, 1u);
  EXPECT_EQ(parse(R"({"query": "q", "options": ["x", "y"], "gold": "B"})").answer, 1u);
  EXPECT_EQ(parse(R"({"ctx": "c", "endings": ["x", "y", "z"], "label": "2"})").answer, 2u);
  EXPECT_EQ(parse(R"({"prompt": "c", "choices": ["x", "y"], "answer": "y"})").answer, 1u);
  const Question arc = parse(
      R"({"question": "q", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]},
          "answerKey": "3"})");
  EXPECT_EQ(arc.choices.size(), 3u);
  EXPECT_EQ(arc.answer, 2u);
  const Question tofu =
      parse(R"({"question": "q", "answer": "right", "perturbed_answer": ["wrong", "worse"]})");
  EXPECT_EQ(tofu.choices, (std::vector<std::string>{"right", "wrong", "worse"}));
  EXPECT_EQ(tofu.answer, 0u);
}

TEST(Choices, WhatIsWrongIsNamed) {
  const auto text_of = [](const char* json) -> std::string {
    try {
      parse(json);
    } catch (const Error& error) {
      return error.where + ": " + error.text;
    }
    return "no error";
  };
  EXPECT_NE(text_of(R"({"choices": ["a"], "answer": 0})").find("no text"), std::string::npos);
  EXPECT_NE(text_of(R"({"prompt": "p", "answer": 0})").find("no choices"), std::string::npos);
  EXPECT_NE(text_of(R"({"prompt": "p", "choices": ["a"]})").find("no answer"), std::string::npos);
  EXPECT_NE(text_of(R"({"prompt": "p", "choices": ["a"], "answer": 1})").find("answer 1 of 1"),
            std::string::npos);
  EXPECT_NE(text_of(R"({"prompt": "p", "choices": ["a"], "answer": "Q"})").find("q:1"),
            std::string::npos);
  EXPECT_NE(text_of(R"({"prompt": "p", "choices": [1], "answer": 0})").find("list of texts"),
            std::string::npos);
}

// One token for each character, but " z" is one.
std::vector<int32_t> encode(const std::string& text) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool pair = text.compare(i, 2, " z") == 0;
    ids.push_back(pair ? 1 : text[i] % 29);
    if (pair) ++i;
  }
  return ids;
}

TEST(Choices, ContinuationBeginsWhereThePromptEnds) {
  EXPECT_EQ(continue_prompt("xy", "z", encode).tokens, encode("xy z"));
  EXPECT_EQ(continue_prompt("xy", "z", encode).choice_begin, 2u);
  EXPECT_EQ(continue_prompt("xy", "z", encode).choice_bytes, 2);
  EXPECT_EQ(continue_prompt("xy", "\nz", encode).tokens, encode("xy\nz"));
  // A token that spans the border belongs to the choice.
  EXPECT_EQ(continue_prompt("xy ", "z", encode).tokens, encode("xy z"));
  EXPECT_EQ(continue_prompt("xy ", "z", encode).choice_begin, 2u);
}

TEST(Choices, TheLikelyChoiceIsTheAnswer) {
  const auto model = make_model({{"model_type", "llama"},
                                 {"vocab_size", 29},
                                 {"hidden_size", 16},
                                 {"intermediate_size", 24},
                                 {"num_hidden_layers", 1},
                                 {"num_attention_heads", 2},
                                 {"max_position_embeddings", 16},
                                 {"initializer_range", 0.4}},
                                {.compute = DType::kF32}, "test");
  Random random(3);
  model->parameters().initialise(random);
  backend::cpu::ThreadPool pool(1);
  ops::Scratch scratch;
  ops::TrainContext ctx{backend::cpu::train_kernels(), pool, scratch};
  const auto losses_of = [&](std::span<const int32_t> tokens) {
    Batch batch;
    batch.append(tokens);
    std::vector<float> losses(batch.ids.size());
    model->losses(ctx, batch, losses);
    return losses;
  };
  const Question question{.prompt = "hello, ", .choices = {"you", "me", "them all"}, .answer = 0};
  // By hand: the loss of each choice behind the prompt.
  std::vector<double> nats;
  for (const std::string& choice : question.choices) {
    const std::vector<float> losses = losses_of(encode(question.prompt + choice));
    double sum = 0;
    for (size_t i = 6; i < losses.size(); ++i) sum += losses[i];
    nats.push_back(sum);
  }
  for (size_t answer = 0; answer < 3; ++answer) {
    Question asked = question;
    asked.answer = answer;
    ChoiceScore score;
    score_question(losses_of, asked, encode, 16, score);
    EXPECT_EQ(score.questions, 1);
    EXPECT_NEAR(score.answer_nats, nats[answer], 1e-4);
    const bool likeliest = nats[answer] == *std::min_element(nats.begin(), nats.end());
    EXPECT_EQ(score.right, likeliest ? 1 : 0);
    EXPECT_NEAR(score.chance, 1.0 / 3, 1e-12);
  }
  // A prompt longer than the context loses its beginning.
  ChoiceScore cut;
  Question lengthy = question;
  lengthy.prompt = std::string(100, 'x') + question.prompt;
  score_question(losses_of, lengthy, encode, 9, cut);
  EXPECT_TRUE(std::isfinite(cut.answer_nats));
}

}  // namespace
}  // namespace hearth::train
