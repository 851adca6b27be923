#include "train/choices.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <span>

#include "base/error.h"
#include "io/json.h"

namespace hearth::train {
namespace {

using Encode = std::function<std::vector<int32_t>(const std::string&)>;
using Keys = std::span<const char* const>;

constexpr const char* kPrompts[] = {"prompt", "question", "query", "ctx", "sentence"};
constexpr const char* kChoices[] = {"choices", "options", "endings"};
constexpr const char* kWrong[] = {"perturbed_answer", "incorrect_answers"};
constexpr const char* kAnswers[] = {"answer", "label", "gold", "answerKey", "correct"};

const io::Json* find_any(const io::Json& json, Keys keys) {
  for (const char* key : keys) {
    const auto it = json.find(key);
    if (it != json.end() && !it->is_null()) return &*it;
  }
  return nullptr;
}

[[noreturn]] void missing(const char* what, Keys keys, const std::string& where) {
  throw_error(ErrorCode::kInvalidArgument, where, "no {}; expected one of: {}", what,
              fmt::join(keys, ", "));
}

std::vector<std::string> texts(const io::Json& list, const std::string& where) {
  if (!list.is_array() || list.empty() ||
      !std::all_of(list.begin(), list.end(), [](const io::Json& e) { return e.is_string(); })) {
    throw_error(ErrorCode::kInvalidArgument, where, "choices must be a list of texts");
  }
  return list.get<std::vector<std::string>>();
}

// The place of an answer that is a number, one of the labels, a letter, or a choice itself.
size_t place_of(const io::Json& answer, const std::vector<std::string>& choices,
                const std::vector<std::string>& labels, const std::string& where) {
  const auto inside = [&](int64_t place) {
    if (place < 0 || place >= static_cast<int64_t>(choices.size())) {
      throw_error(ErrorCode::kInvalidArgument, where, "answer {} of {} choices", place,
                  choices.size());
    }
    return static_cast<size_t>(place);
  };
  if (answer.is_number_integer()) return inside(answer.get<int64_t>());
  if (!answer.is_string()) {
    throw_error(ErrorCode::kInvalidArgument, where, "the answer must be a number or a text");
  }
  const auto text = answer.get<std::string>();
  for (const std::vector<std::string>* list : {&labels, &choices}) {
    const auto it = std::find(list->begin(), list->end(), text);
    if (it != list->end()) return static_cast<size_t>(it - list->begin());
  }
  if (text.size() == 1 && std::isdigit(static_cast<unsigned char>(text[0])) != 0) {
    return inside(text[0] - '0');
  }
  if (text.size() == 1 && std::isupper(static_cast<unsigned char>(text[0])) != 0) {
    return inside(text[0] - 'A');
  }
  throw_error(ErrorCode::kInvalidArgument, where, "the answer '{}' is none of the {} choices", text,
              choices.size());
}

}  // namespace

Question parse_question(const io::Json& json, const std::string& where) {
  const io::Json* prompt = find_any(json, kPrompts);
  if (prompt == nullptr || !prompt->is_string()) missing("text", kPrompts, where);
  const io::Json* answer = find_any(json, kAnswers);
  if (answer == nullptr) missing("answer", kAnswers, where);
  Question question;
  question.prompt = prompt->get<std::string>();
  if (const io::Json* choices = find_any(json, kChoices)) {
    std::vector<std::string> labels;
    if (choices->is_object()) {
      labels = texts(choices->value("label", io::Json::array()), where + ": label");
      question.choices = texts(choices->value("text", io::Json::array()), where + ": text");
    } else {
      question.choices = texts(*choices, where);
    }
    question.answer = place_of(*answer, question.choices, labels, where);
    return question;
  }
  const io::Json* wrong = find_any(json, kWrong);
  if (wrong == nullptr) missing("choices", kChoices, where);
  if (!answer->is_string()) {
    throw_error(ErrorCode::kInvalidArgument, where, "the answer must be a text beside wrong ones");
  }
  question.choices = texts(*wrong, where);
  question.choices.insert(question.choices.begin(), answer->get<std::string>());
  return question;
}

void read_questions(const std::string& path, const std::function<void(const Question&)>& take) {
  std::ifstream in(path);
  if (!in) throw_error(ErrorCode::kNotFound, path, "cannot be read");
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    take(parse_question(io::parse_json(line, where), where));
  }
}

Continuation continue_prompt(const std::string& prompt, const std::string& choice,
                             const Encode& encode) {
  const auto blank = [](char c) { return c == ' ' || c == '\n'; };
  const bool apart =
      prompt.empty() || blank(prompt.back()) || choice.empty() || blank(choice.front());
  const std::string rest = apart ? choice : " " + choice;
  const std::vector<int32_t> before = encode(prompt);
  Continuation result;
  result.tokens = encode(prompt + rest);
  const size_t most = std::min(before.size(), result.tokens.size());
  while (result.choice_begin < most &&
         before[result.choice_begin] == result.tokens[result.choice_begin]) {
    ++result.choice_begin;
  }
  result.choice_bytes = static_cast<int64_t>(rest.size());
  return result;
}

void score_question(const TextLosses& losses, const Question& question, const Encode& encode,
                    int64_t context, ChoiceScore& score) {
  std::vector<double> nats;
  std::vector<double> per_byte;
  for (const std::string& choice : question.choices) {
    Continuation c = continue_prompt(question.prompt, choice, encode);
    const auto longest = static_cast<size_t>(context) + 1;
    if (c.tokens.size() > longest) {
      const size_t cut = c.tokens.size() - longest;
      c.tokens.erase(c.tokens.begin(), c.tokens.begin() + static_cast<int64_t>(cut));
      c.choice_begin -= std::min(c.choice_begin, cut);
    }
    // The first token has nothing before it that could predict it.
    c.choice_begin = std::max<size_t>(1, c.choice_begin);
    double sum = 0;
    if (c.tokens.size() >= 2) {
      const std::vector<float> each = losses(c.tokens);
      for (size_t t = c.choice_begin; t < c.tokens.size(); ++t) sum += double{each[t - 1]};
    }
    nats.push_back(sum);
    per_byte.push_back(sum / static_cast<double>(std::max<int64_t>(1, c.choice_bytes)));
  }
  const auto best = [](const std::vector<double>& list) {
    return static_cast<size_t>(std::min_element(list.begin(), list.end()) - list.begin());
  };
  ++score.questions;
  score.right += best(nats) == question.answer ? 1 : 0;
  score.right_per_byte += best(per_byte) == question.answer ? 1 : 0;
  score.chance += 1.0 / static_cast<double>(question.choices.size());
  score.answer_nats += nats[question.answer];
}

}  // namespace hearth::train
