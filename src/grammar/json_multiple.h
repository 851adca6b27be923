// Numbers that are multiples of another one (multipleOf), within bounds.
#pragma once

#include <optional>
#include <string>

#include "grammar/json_number.h"

namespace hearth::grammar {

enum class Numbers { kIntegers, kDecimals };

// Nothing where bounds and divisor together would take too large an automaton.
std::optional<ExprId> multiple_expr(Ir& ir, const NumberRange& range, const Decimal& divisor,
                                    Numbers numbers);

}  // namespace hearth::grammar
