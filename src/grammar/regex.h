// Regular expressions as an intermediate form. The dialect is the common part of ECMAScript, Python
// and Rust that is a regular language: literals, classes, \d \w \s, escapes, groups, alternation,
// greedy and lazy repeats (the same language), anchors at the ends. Back-references, look-around
// and word boundaries are refused by name.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "grammar/code_points.h"
#include "grammar/ir.h"

namespace hearth::grammar {

enum class RegexMatch {
  kWhole,   // the text is the match; anchors are allowed and mean nothing
  kSearch,  // the text contains a match unless ^ and $ say otherwise, as in JSON schema
};

// How one code point of a set is spelled; UTF-8, or UTF-8 inside a JSON string.
using CodePointSpelling = std::function<ExprId(Ir&, const CodePointSet&)>;

// Throws Error{kInvalidArgument} or {kUnsupported} that names `where` and the position.
ExprId regex_expr(Ir& ir, std::string_view pattern, RegexMatch match,
                  const CodePointSpelling& spelling, const std::string& where);

// The code points of \d, \w and \s (ASCII digits and words; Unicode white space as ECMAScript has
// it). `letter` is one of d, w, s, or the capital for the complement.
CodePointSet class_escape(char letter);

}  // namespace hearth::grammar
