// For the tests of this folder: a vocabulary with tokens that straddle everything, random walks
// through a mask, and a JSON schema validator that shares nothing with the compiler.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "grammar/matcher.h"
#include "io/json_fwd.h"

namespace hearth::grammar {

// All single bytes, random merges of them and of bits of JSON, and one end token, the last.
std::shared_ptr<const Vocabulary> test_vocabulary(uint64_t seed, int merges);

std::vector<int32_t> allowed_tokens(Matcher& matcher, const Vocabulary& vocabulary);

// Follows random allowed tokens to an end; nothing when that takes more than `tokens_max`.
std::optional<std::string> random_text(Matcher& matcher, const Vocabulary& vocabulary,
                                       Random& random, int tokens_max);

// The whole text is one of the grammar's.
bool matches(const std::shared_ptr<const Grammar>& grammar, std::string_view text);

bool satisfies(const io::Json& value, const io::Json& schema, const io::Json& root);

}  // namespace hearth::grammar
