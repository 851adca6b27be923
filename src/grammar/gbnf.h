// GBNF, llama.cpp's grammar notation, and the EBNF with ::= that vLLM's users write: rules, quoted
// text, character classes, groups, alternatives, * + ? {m,n}, comments with #. Starts at `root`.
#pragma once

#include <string_view>

#include "grammar/ir.h"

namespace hearth::grammar {

// Throws Error naming line, column and what was expected.
ExprId gbnf_expr(Ir& ir, std::string_view text);

}  // namespace hearth::grammar
