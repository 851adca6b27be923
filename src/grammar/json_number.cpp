#include "grammar/json_number.h"

#include <algorithm>

#include "base/error.h"
#include "grammar/digits.h"

namespace hearth::grammar {
namespace {

constexpr int kDigitsMax = 16;
constexpr size_t kBoundDigitsMax = 40;

// Digits after the point that compare with a bound: what may come when there is at least one digit,
// and whether none at all is right too.
struct Fraction {
  ExprId some;
  bool none;

  ExprId tail(Ir& ir) const { return none ? ir.choice({ir.empty(), some}) : some; }
};

// `room`: how many digits may come at most.
ExprId more_digits(Ir& ir, int64_t room) { return room > 0 ? any_digits(ir, 0, room) : ir.empty(); }

// At least one, and not all of them zero.
ExprId nonzero_digits(Ir& ir, int64_t room) {
  ExprId digits_left = ir.never();
  for (int64_t left = 1; left <= room; ++left) {
    digits_left = ir.choice({ir.seq({digits(ir, '1', '9'), more_digits(ir, left - 1)}),
                             ir.seq({digit(ir, '0'), digits_left})});
  }
  return digits_left;
}

struct FractionBound {
  std::string_view digits;
  bool exclusive = false;

  char first() const { return digits.empty() ? '0' : digits[0]; }
  FractionBound rest() const { return {digits.empty() ? digits : digits.substr(1), exclusive}; }
  bool zero_is_above() const { return digits.empty() && !exclusive; }
  bool zero_is_below() const { return !digits.empty() || !exclusive; }
};

Fraction fraction_at_least(Ir& ir, FractionBound low, int64_t room) {
  if (room == 0) return {ir.never(), low.zero_is_above()};
  if (low.digits.empty()) {
    if (low.exclusive) return {nonzero_digits(ir, room), false};
    return {any_digits(ir, 1, room), true};
  }
  const Fraction rest = fraction_at_least(ir, low.rest(), room - 1);
  return {ir.choice({ir.seq({digit(ir, low.first()), rest.tail(ir)}),
                     ir.seq({digits(ir, above(low.first()), '9'), more_digits(ir, room - 1)})}),
          false};
}

Fraction fraction_at_most(Ir& ir, FractionBound high, int64_t room) {
  if (room == 0) return {ir.never(), high.zero_is_below()};
  if (high.digits.empty()) {
    if (high.exclusive) return {ir.never(), false};
    return {ir.repeat(digit(ir, '0'), 1, room), true};
  }
  const Fraction rest = fraction_at_most(ir, high.rest(), room - 1);
  return {ir.choice({ir.seq({digit(ir, high.first()), rest.tail(ir)}),
                     ir.seq({digits(ir, '0', below(high.first())), more_digits(ir, room - 1)})}),
          true};
}

Fraction fraction_between(Ir& ir, FractionBound low, FractionBound high, int64_t room) {
  const bool none = low.zero_is_above() && high.zero_is_below();
  if (room == 0) return {ir.never(), none};
  if (low.digits.empty() && high.digits.empty()) {
    return {none ? ir.repeat(digit(ir, '0'), 1, room) : ir.never(), none};
  }
  const char first = low.first(), last = high.first();
  if (first > last) return {ir.never(), none};
  if (first == last) {
    const Fraction rest = fraction_between(ir, low.rest(), high.rest(), room - 1);
    return {ir.seq({digit(ir, first), rest.tail(ir)}), none};
  }
  const Fraction from = fraction_at_least(ir, low.rest(), room - 1);
  const Fraction to = fraction_at_most(ir, high.rest(), room - 1);
  return {ir.choice({ir.seq({digit(ir, first), from.tail(ir)}),
                     ir.seq({digits(ir, above(first), below(last)), more_digits(ir, room - 1)}),
                     ir.seq({digit(ir, last), to.tail(ir)})}),
          none};
}

ExprId with_point(Ir& ir, Fraction fraction) {
  const ExprId some = ir.seq({ir.literal("."), fraction.some});
  return fraction.none ? ir.choice({ir.empty(), some}) : some;
}

// Numbers without a sign, low >= 0.
ExprId unsigned_between(Ir& ir, const Bound& low, const std::optional<Bound>& high,
                        std::optional<int> fraction_digits_max) {
  const FractionBound from{low.value.fraction, low.exclusive};
  const size_t written =
      std::max(low.value.fraction.size(), high ? high->value.fraction.size() : 0);
  const int64_t room =
      fraction_digits_max.value_or(static_cast<int>(std::max<size_t>(kDigitsMax, written + 1)));
  const Fraction any = fraction_at_least(ir, {}, room);
  std::vector<ExprId> parts;
  const auto add = [&](const std::string& whole, Fraction fraction) {
    parts.push_back(ir.seq({ir.literal(whole), with_point(ir, fraction)}));
  };
  const auto add_whole = [&](const std::string& first, const std::string& last) {
    parts.push_back(ir.seq({whole_between(ir, first, last), with_point(ir, any)}));
  };
  if (high && less(high->value.whole, low.value.whole)) return ir.never();
  if (high && high->value.whole == low.value.whole) {
    add(low.value.whole, fraction_between(ir, from, {high->value.fraction, high->exclusive}, room));
    return ir.choice(std::move(parts));
  }
  add(low.value.whole, fraction_at_least(ir, from, room));
  if (high) {
    add_whole(plus_one(low.value.whole), minus_one(high->value.whole));
    add(high->value.whole, fraction_at_most(ir, {high->value.fraction, high->exclusive}, room));
  } else {
    const size_t length = std::max<size_t>(kDigitsMax, low.value.whole.size() + 1);
    add_whole(plus_one(low.value.whole), std::string(length, '9'));
  }
  return ir.choice(std::move(parts));
}

std::optional<Bound> negated(const std::optional<Bound>& bound) {
  if (!bound) return std::nullopt;
  Bound copy = *bound;
  copy.value.negative = !copy.value.negative;
  return copy;
}

// The part of the range at or above zero, if there is one.
std::optional<NumberRange> part_above_zero(const NumberRange& range) {
  if (range.high && range.high->value.negative && !range.high->value.is_zero()) return std::nullopt;
  if (range.high && range.high->value.is_zero() && range.high->exclusive) return std::nullopt;
  NumberRange part = range;
  if (!part.low || (part.low->value.negative && !part.low->value.is_zero())) part.low = Bound{};
  part.low->value.negative = false;
  return part;
}

}  // namespace

ExprId with_sign(Ir& ir, const NumberRange& range, const UnsignedExpr& unsigned_expr) {
  std::vector<ExprId> parts;
  if (const auto positive = part_above_zero(range)) {
    parts.push_back(unsigned_expr(*positive->low, positive->high));
  }
  // Negative numbers proper: zero is written without a sign.
  NumberRange mirrored{negated(range.high), negated(range.low)};
  const bool reaches_zero =
      !mirrored.low || (mirrored.low->value.negative || mirrored.low->value.is_zero());
  if (reaches_zero) mirrored.low = Bound{.exclusive = true};
  if (const auto negative = part_above_zero(mirrored)) {
    parts.push_back(ir.seq({ir.literal("-"), unsigned_expr(*negative->low, negative->high)}));
  }
  return ir.choice(std::move(parts));
}

WholeRange whole_range(const Bound& low, const std::optional<Bound>& high) {
  WholeRange range{low.value.whole, {}};
  if (low.exclusive || !low.value.fraction.empty()) range.first = plus_one(range.first);
  if (!high) {
    range.last = std::string(std::max<size_t>(kDigitsMax, range.first.size()), '9');
    return range;
  }
  range.last = high->value.whole;
  if (!high->exclusive || !high->value.fraction.empty()) return range;
  if (range.last == "0") return {"1", "0"};
  range.last = minus_one(range.last);
  return range;
}

Decimal Decimal::parse(const std::string& text, const std::string& where) {
  Decimal decimal;
  std::string all;
  int64_t point = -1, exponent = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '-' && i == 0) {
      decimal.negative = true;
    } else if (c == '.') {
      point = static_cast<int64_t>(all.size());
    } else if (c == 'e' || c == 'E') {
      exponent = std::clamp(std::atoll(text.c_str() + i + 1), -1000ll, 1000ll);
      break;
    } else {
      all += c;
    }
  }
  point = (point < 0 ? static_cast<int64_t>(all.size()) : point) + exponent;
  if (point < 0) all.insert(0, -point, '0'), point = 0;
  if (point > static_cast<int64_t>(all.size())) all.append(point - all.size(), '0');
  decimal.whole = all.substr(0, point);
  decimal.fraction = all.substr(point);
  decimal.whole.erase(0, decimal.whole.find_first_not_of('0'));
  if (decimal.whole.empty()) decimal.whole.push_back('0');
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  if (decimal.whole.size() + decimal.fraction.size() > kBoundDigitsMax) {
    throw_error(ErrorCode::kUnsupported, where, "the bound {} has more than {} digits", text,
                kBoundDigitsMax);
  }
  return decimal;
}

ExprId number_expr(Ir& ir, const NumberRange& range, std::optional<int> fraction_digits_max) {
  if (range.low || range.high || fraction_digits_max) {
    return with_sign(ir, range, [&](const Bound& low, const std::optional<Bound>& high) {
      return unsigned_between(ir, low, high, fraction_digits_max);
    });
  }
  const ExprId whole =
      ir.choice({ir.literal("0"), ir.seq({digits(ir, '1', '9'), more_digits(ir, kDigitsMax - 1)})});
  ByteSet e, sign;
  e.set('e').set('E');
  sign.set('+').set('-');
  return ir.seq(
      {ir.optional(ir.literal("-")), whole,
       ir.optional(ir.seq({ir.literal("."), any_digits(ir, 1, kDigitsMax)})),
       ir.optional(ir.seq({ir.bytes(e), ir.optional(ir.bytes(sign)), any_digits(ir, 1, 2)}))});
}

ExprId integer_expr(Ir& ir, const NumberRange& range) {
  return with_sign(ir, range, [&ir](const Bound& low, const std::optional<Bound>& high) {
    const WholeRange whole = whole_range(low, high);
    return whole_between(ir, whole.first, whole.last);
  });
}

}  // namespace hearth::grammar
