// What a compiled grammar lets through, for the suite to compare with a validator.
//
//   grammar_probe DIR          a model folder, for its vocabulary
// Each line of standard input is {"schema": ..., "seed": N, "walks": N, "documents": [text, ...]};
// each line of output {"texts": [...], "accepted": [...]} or {"error": "..."}. The texts come of
// random walks: any token that the mask allows, chosen with no model. `cut` counts walks that were
// still going when they had to stop.
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "grammar/matcher.h"
#include "io/file_source.h"
#include "io/json.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace hearth;
using io::Json;

constexpr int kTokensMax = 400;

struct Walker {
  std::shared_ptr<const grammar::Vocabulary> vocabulary;
  std::vector<int32_t> closers;  // tokens that end strings, lists and objects
};

Walker make_walker(const std::string& dir) {
  io::Folder source(dir);
  const auto tokenizer = tokenizer::Tokenizer::load(source);
  Walker walker;
  std::vector<std::string> tokens;
  for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
    tokens.emplace_back(tokenizer->token_bytes(id));
    const std::string& text = tokens.back();
    if (text == "\"" || text == "}" || text == "]" || text == "0") walker.closers.push_back(id);
  }
  walker.vocabulary = std::make_shared<grammar::Vocabulary>(
      std::move(tokens), std::vector<int32_t>{tokenizer->eos_id()});
  return walker;
}

bool has(const std::vector<uint32_t>& mask, int32_t token) {
  return mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1;
}

int32_t choose(const Walker& walker, const std::vector<uint32_t>& mask, int step, Random& random) {
  std::vector<int32_t> allowed;
  for (int32_t token = 0; token < walker.vocabulary->size(); ++token) {
    if (has(mask, token)) allowed.push_back(token);
  }
  CHECK(!allowed.empty(), "a dead end at step {}", step);
  for (const int32_t end : walker.vocabulary->end_tokens()) {
    if (has(mask, end) && random.chance(0.3)) return end;
  }
  // Tokens are mostly words: what closes something has to be helped, or nothing ever ends.
  if (random.chance(step < kTokensMax / 4 ? 0.2 : 0.8)) {
    std::vector<int32_t> closing;
    for (const int32_t token : walker.closers) {
      if (has(mask, token)) closing.push_back(token);
    }
    if (!closing.empty()) return closing[random.below(closing.size())];
  }
  return allowed[random.below(allowed.size())];
}

bool walk(const Walker& walker, const std::shared_ptr<const grammar::Grammar>& grammar,
          Random& random, std::string& text) {
  grammar::Matcher matcher(grammar);
  std::vector<uint32_t> mask(walker.vocabulary->mask_words());
  for (int step = 0; step < kTokensMax; ++step) {
    matcher.fill(mask);
    const int32_t token = choose(walker, mask, step, random);
    CHECK(matcher.accept(token), "the mask allowed token {} after {}", token, text);
    if (walker.vocabulary->is_end(token)) return true;
    text += walker.vocabulary->bytes(token);
  }
  return false;
}

Json answer(const Walker& walker, const Json& line) {
  grammar::GrammarSource source;
  source.kind = grammar::GrammarKind::kJsonSchema;
  source.text = io::dump_json(line["schema"]);
  const auto grammar = grammar::compile_grammar(source, walker.vocabulary);
  Json out = {{"texts", Json::array()}, {"accepted", Json::array()}, {"cut", 0}};
  Random random(line["seed"].get<uint64_t>());
  for (int i = 0; i < line["walks"].get<int>(); ++i) {
    std::string text;
    if (walk(walker, grammar, random, text)) {
      out["texts"].push_back(text);
    } else {
      out["cut"] = out["cut"].get<int>() + 1;
    }
  }
  for (const Json& document : line["documents"]) {
    grammar::Matcher matcher(grammar);
    const auto& text = document.get_ref<const std::string&>();
    out["accepted"].push_back(matcher.accept_text(text) && matcher.may_end());
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: grammar_probe DIR\n"), 2;
  const Walker walker = make_walker(argv[1]);
  for (std::string line; std::getline(std::cin, line);) {
    Json out;
    try {
      out = answer(walker, io::parse_json(line, "line"));
    } catch (const Error& error) {
      out = {{"error", error.what()}};
    }
    std::printf("%s\n", io::dump_json(out).c_str());
    std::fflush(stdout);
  }
  return 0;
}
