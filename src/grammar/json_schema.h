// JSON schema as an intermediate form: exactly the texts, up to white space and number format, that
// satisfy it, in the order of its properties. docs/structured_output.md lists the keywords.
#pragma once

#include "grammar/ir.h"
#include "grammar/json_text.h"
#include "io/json_fwd.h"

namespace hearth::grammar {

// Throws Error{kUnsupported} naming the keyword and its JSON path, kInvalidArgument where the
// schema itself is wrong, kTooLarge over a limit.
ExprId json_schema_expr(Ir& ir, const io::Json& schema, Whitespace whitespace);

}  // namespace hearth::grammar
