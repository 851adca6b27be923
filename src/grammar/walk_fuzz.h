// What the fuzz targets of this folder share: compile bytes as a grammar, then follow its masks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "grammar/matcher.h"

namespace hearth::grammar {

inline std::shared_ptr<const Vocabulary> fuzz_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* merge : {"ab", "\":", "{\"", "],", "\",\"", "true", "12", "  ", "\\u", "é"}) {
    tokens.emplace_back(merge);
  }
  tokens.emplace_back();
  const auto end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const Vocabulary>(std::move(tokens), std::vector<int32_t>{end});
}

inline void compile_and_walk(GrammarKind kind, const uint8_t* data, size_t size) {
  static const std::shared_ptr<const Vocabulary> vocabulary = fuzz_vocabulary();
  // Small limits, so that a run tries many inputs instead of a few large ones.
  const GrammarLimits limits{.source_bytes_max = 4096,
                             .nesting_max = 50,
                             .exprs_max = 20'000,
                             .rules_max = 1000,
                             .states_max = 20'000,
                             .repeat_max = 10'000};
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::shared_ptr<const Grammar> grammar;
  try {
    grammar = compile_grammar({.kind = kind, .text = text}, vocabulary, limits);
  } catch (const Error&) {
    return;
  }
  Matcher matcher(grammar);
  Random random(size);
  std::vector<uint32_t> words(vocabulary->mask_words());
  for (int step = 0; step < 32; ++step) {
    if (!matcher.fill(words)) return;
    std::vector<int32_t> allowed;
    for (int32_t token = 0; token < vocabulary->size(); ++token) {
      if (words[token >> 5] >> (token & 31) & 1) allowed.push_back(token);
    }
    const int32_t token = allowed[random.below(allowed.size())];
    CHECK(matcher.accept(token), "the mask allowed token {}", token);
    if (vocabulary->is_end(token)) return;
  }
}

}  // namespace hearth::grammar
