// What a grammar may cost. Grammars come from requests, so every growth has a bound and a name;
// going over one is Error{kTooLarge} that says which.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::grammar {

struct GrammarLimits {
  size_t source_bytes_max = size_t{1} << 20;  // text of a schema, regex or grammar
  int nesting_max = 100;                      // groups, sub-schemas: bounds our recursion
  int32_t exprs_max = 400'000;                // nodes of the intermediate form
  int32_t rules_max = 20'000;                 // named rules, and those made for shared pieces
  int32_t states_max = 200'000;               // states of all automata together
  int32_t repeat_max = 1'000'000;             // {m,n}, minLength, maxItems, ...
};

// Wider than any sane grammar needs: over it the text has too many readings at once, and the
// longer reading is dropped, so that what is generated stays right.
constexpr size_t kFramesPerColumnMax = 2048;

}  // namespace hearth::grammar
