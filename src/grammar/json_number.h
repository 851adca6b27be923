// Numbers of JSON text within bounds, exactly: the digits are compared as they are written.
#pragma once

#include <optional>
#include <string>

#include "grammar/ir.h"

namespace hearth::grammar {

// A finite decimal: sign, digits before the point (no leading zeros but for "0"), digits after it
// (no trailing zeros).
struct Decimal {
  bool negative = false;
  std::string whole = "0";
  std::string fraction;

  // From JSON number text. Throws Error naming `where` when it has too many digits to compare.
  static Decimal parse(const std::string& text, const std::string& where);
  bool is_zero() const { return whole == "0" && fraction.empty(); }
};

struct Bound {
  Decimal value;
  bool exclusive = false;
};

struct NumberRange {
  std::optional<Bound> low;
  std::optional<Bound> high;
};

// Digits are bounded (16 before and after the point, unless a bound has more; exponents of two
// digits, and none where there are bounds), so that a model cannot write digits for ever.
ExprId number_expr(Ir& ir, const NumberRange& range);
ExprId integer_expr(Ir& ir, const NumberRange& range);
// Integers that are multiples of `divisor` > 0.
ExprId multiple_expr(Ir& ir, int32_t divisor);

}  // namespace hearth::grammar
