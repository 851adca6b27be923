// Numbers of JSON text within bounds, exactly: the digits are compared as they are written.
#pragma once

#include <functional>
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
// `fraction_digits_max`: after the point, where fewer may come.
ExprId number_expr(Ir& ir, const NumberRange& range,
                   std::optional<int> fraction_digits_max = std::nullopt);
ExprId integer_expr(Ir& ir, const NumberRange& range);

// Numbers of a range without a sign: 0 <= low.
using UnsignedExpr = std::function<ExprId(const Bound& low, const std::optional<Bound>& high)>;
// The numbers of a range, their sizes written by `unsigned_expr`.
ExprId with_sign(Ir& ir, const NumberRange& range, const UnsignedExpr& unsigned_expr);

// The whole numbers of an unsigned range, as digits; none when last < first. Without a high bound
// they end where digits do.
struct WholeRange {
  std::string first;
  std::string last;
};
WholeRange whole_range(const Bound& low, const std::optional<Bound>& high);

}  // namespace hearth::grammar
