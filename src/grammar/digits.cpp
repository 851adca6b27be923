#include "grammar/digits.h"

#include <algorithm>
#include <string_view>

namespace hearth::grammar {

namespace {

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

}  // namespace

ExprId digits(Ir& ir, char low, char high) {
  return low > high ? ir.never()
                    : ir.byte_range(static_cast<uint8_t>(low), static_cast<uint8_t>(high));
}
ExprId any_digits(Ir& ir, int64_t low, int64_t high) {
  return ir.repeat(digits(ir, '0', '9'), low, high);
}

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

}  // namespace hearth::grammar
