#include "grammar/json_number.h"

#include <algorithm>

#include "base/error.h"

namespace hearth::grammar {
namespace {

constexpr int kDigitsMax = 16;
constexpr size_t kBoundDigitsMax = 40;

ExprId digits(Ir& ir, char low, char high) {
  return low > high ? ir.never()
                    : ir.byte_range(static_cast<uint8_t>(low), static_cast<uint8_t>(high));
}
ExprId any_digits(Ir& ir, int64_t low, int64_t high) {
  return ir.repeat(digits(ir, '0', '9'), low, high);
}
ExprId digit(Ir& ir, char c) { return digits(ir, c, c); }
char above(char c) { return static_cast<char>(c + 1); }
char below(char c) { return static_cast<char>(c - 1); }

bool less(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

std::string plus_one(std::string number) {
  for (size_t i = number.size(); i-- > 0;) {
    if (number[i] != '9') return ++number[i], number;
    number[i] = '0';
  }
  return "1" + number;
}

// `number` > 0.
std::string minus_one(std::string number) {
  for (size_t i = number.size(); i-- > 0;) {
    if (number[i] != '0') {
      --number[i];
      break;
    }
    number[i] = '9';
  }
  const size_t first = std::min(number.find_first_not_of('0'), number.size() - 1);
  return number.substr(first);
}

// Numbers of exactly as many digits as the bound has.
ExprId at_least(Ir& ir, std::string_view low) {
  if (low.empty()) return ir.empty();
  return ir.choice(
      {ir.seq({digit(ir, low[0]), at_least(ir, low.substr(1))}),
       ir.seq({digits(ir, above(low[0]), '9'), any_digits(ir, low.size() - 1, low.size() - 1)})});
}

ExprId at_most(Ir& ir, std::string_view high) {
  if (high.empty()) return ir.empty();
  return ir.choice({ir.seq({digit(ir, high[0]), at_most(ir, high.substr(1))}),
                    ir.seq({digits(ir, '0', below(high[0])),
                            any_digits(ir, high.size() - 1, high.size() - 1)})});
}

ExprId same_length(Ir& ir, std::string_view low, std::string_view high) {
  if (low.empty()) return ir.empty();
  if (low[0] == high[0]) {
    return ir.seq({digit(ir, low[0]), same_length(ir, low.substr(1), high.substr(1))});
  }
  const auto rest = static_cast<int64_t>(low.size()) - 1;
  return ir.choice({ir.seq({digit(ir, low[0]), at_least(ir, low.substr(1))}),
                    ir.seq({digits(ir, above(low[0]), below(high[0])), any_digits(ir, rest, rest)}),
                    ir.seq({digit(ir, high[0]), at_most(ir, high.substr(1))})});
}

// Whole numbers low..high, no sign, no leading zeros.
ExprId whole_between(Ir& ir, const std::string& low, const std::string& high) {
  if (less(high, low)) return ir.never();
  if (low.size() == high.size()) return same_length(ir, low, high);
  std::vector<ExprId> parts{at_least(ir, low)};
  const auto shortest = static_cast<int64_t>(low.size()) + 1;
  const auto longest = static_cast<int64_t>(high.size()) - 1;
  if (shortest <= longest) {
    parts.push_back(ir.seq({digits(ir, '1', '9'), any_digits(ir, shortest - 1, longest - 1)}));
  }
  const std::string first = "1" + std::string(high.size() - 1, '0');
  parts.push_back(same_length(ir, first, high));
  return ir.choice(std::move(parts));
}

// Digits after the point that compare with a bound: what may come when there is at least one digit,
// and whether none at all is right too.
struct Fraction {
  ExprId some;
  bool none;

  ExprId tail(Ir& ir) const { return none ? ir.choice({ir.empty(), some}) : some; }
};

ExprId more_digits(Ir& ir) { return any_digits(ir, 0, kDigitsMax - 1); }

struct FractionBound {
  std::string_view digits;
  bool exclusive = false;

  char first() const { return digits.empty() ? '0' : digits[0]; }
  FractionBound rest() const { return {digits.empty() ? digits : digits.substr(1), exclusive}; }
  bool zero_is_above() const { return digits.empty() && !exclusive; }
  bool zero_is_below() const { return !digits.empty() || !exclusive; }
};

Fraction fraction_at_least(Ir& ir, FractionBound low) {
  if (low.digits.empty()) {
    if (!low.exclusive) return {any_digits(ir, 1, kDigitsMax), true};
    return {ir.seq({any_digits(ir, 0, kDigitsMax - 1), digits(ir, '1', '9'), more_digits(ir)}),
            false};
  }
  return {ir.choice({ir.seq({digit(ir, low.first()), fraction_at_least(ir, low.rest()).tail(ir)}),
                     ir.seq({digits(ir, above(low.first()), '9'), more_digits(ir)})}),
          false};
}

Fraction fraction_at_most(Ir& ir, FractionBound high) {
  if (high.digits.empty()) {
    if (high.exclusive) return {ir.never(), false};
    return {ir.repeat(digit(ir, '0'), 1, kDigitsMax), true};
  }
  return {ir.choice({ir.seq({digit(ir, high.first()), fraction_at_most(ir, high.rest()).tail(ir)}),
                     ir.seq({digits(ir, '0', below(high.first())), more_digits(ir)})}),
          true};
}

Fraction fraction_between(Ir& ir, FractionBound low, FractionBound high) {
  const bool none = low.zero_is_above() && high.zero_is_below();
  if (low.digits.empty() && high.digits.empty()) {
    return {none ? ir.repeat(digit(ir, '0'), 1, kDigitsMax) : ir.never(), none};
  }
  if (low.first() > high.first()) return {ir.never(), none};
  if (low.first() == high.first()) {
    return {
        ir.seq({digit(ir, low.first()), fraction_between(ir, low.rest(), high.rest()).tail(ir)}),
        none};
  }
  return {
      ir.choice({ir.seq({digit(ir, low.first()), fraction_at_least(ir, low.rest()).tail(ir)}),
                 ir.seq({digits(ir, above(low.first()), below(high.first())), more_digits(ir)}),
                 ir.seq({digit(ir, high.first()), fraction_at_most(ir, high.rest()).tail(ir)})}),
      none};
}

ExprId with_point(Ir& ir, Fraction fraction) {
  const ExprId some = ir.seq({ir.literal("."), fraction.some});
  return fraction.none ? ir.choice({ir.empty(), some}) : some;
}

// Numbers without a sign, low >= 0.
ExprId unsigned_between(Ir& ir, const Bound& low, const std::optional<Bound>& high) {
  const FractionBound from{low.value.fraction, low.exclusive};
  const Fraction any = fraction_at_least(ir, {});
  std::vector<ExprId> parts;
  const auto add = [&](const std::string& whole, Fraction fraction) {
    parts.push_back(ir.seq({ir.literal(whole), with_point(ir, fraction)}));
  };
  const auto add_whole = [&](const std::string& first, const std::string& last) {
    parts.push_back(ir.seq({whole_between(ir, first, last), with_point(ir, any)}));
  };
  if (high && less(high->value.whole, low.value.whole)) return ir.never();
  if (high && high->value.whole == low.value.whole) {
    add(low.value.whole, fraction_between(ir, from, {high->value.fraction, high->exclusive}));
    return ir.choice(std::move(parts));
  }
  add(low.value.whole, fraction_at_least(ir, from));
  if (high) {
    add_whole(plus_one(low.value.whole), minus_one(high->value.whole));
    add(high->value.whole, fraction_at_most(ir, {high->value.fraction, high->exclusive}));
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

template <typename Unsigned>
ExprId with_sign(Ir& ir, const NumberRange& range, Unsigned unsigned_expr) {
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

ExprId unsigned_integers(Ir& ir, const Bound& low, const std::optional<Bound>& high) {
  std::string first = low.value.whole;
  if (low.exclusive || !low.value.fraction.empty()) first = plus_one(first);
  std::string last(std::max<size_t>(kDigitsMax, first.size()), '9');
  if (high) {
    last = high->value.whole;
    if (high->exclusive && high->value.fraction.empty()) {
      if (last == "0") return ir.never();
      last = minus_one(last);
    }
  }
  return whole_between(ir, first, last);
}

}  // namespace

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
  if (decimal.whole.empty()) decimal.whole = "0";
  decimal.fraction.erase(decimal.fraction.find_last_not_of('0') + 1);
  if (decimal.whole.size() + decimal.fraction.size() > kBoundDigitsMax) {
    throw_error(ErrorCode::kUnsupported, where, "the bound {} has more than {} digits", text,
                kBoundDigitsMax);
  }
  return decimal;
}

ExprId number_expr(Ir& ir, const NumberRange& range) {
  if (range.low || range.high) {
    return with_sign(ir, range, [&ir](const Bound& low, const std::optional<Bound>& high) {
      return unsigned_between(ir, low, high);
    });
  }
  const ExprId whole =
      ir.choice({ir.literal("0"), ir.seq({digits(ir, '1', '9'), more_digits(ir)})});
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
    return unsigned_integers(ir, low, high);
  });
}

ExprId multiple_expr(Ir& ir, int32_t divisor) {
  // One vertex a remainder, after the start and before the end; a walk reads a number digit by
  // digit.
  const int32_t end = divisor + 1;
  std::vector<GraphEdge> edges{{1, end, ir.empty()}};
  for (int d = 1; d <= 9; ++d) {
    edges.push_back({0, 1 + d % divisor, digit(ir, static_cast<char>('0' + d))});
  }
  for (int32_t remainder = 0; remainder < divisor; ++remainder) {
    for (int d = 0; d <= 9; ++d) {
      const int32_t next = static_cast<int32_t>((int64_t{remainder} * 10 + d) % divisor);
      edges.push_back({1 + remainder, 1 + next, digit(ir, static_cast<char>('0' + d))});
    }
  }
  const ExprId positive = ir.graph(end + 1, std::move(edges));
  return ir.choice({ir.literal("0"), ir.seq({ir.optional(ir.literal("-")), positive})});
}

}  // namespace hearth::grammar
