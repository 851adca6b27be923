#include "grammar/json_multiple.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "grammar/digits.h"

namespace hearth::grammar {
namespace {

// So many numbers are written out one by one.
constexpr int64_t kListedMax = 1000;
// Beyond that an automaton counts remainders: with bounds, one set of them for each place.
constexpr int64_t kBoundedDivisorMax = 100;
constexpr int64_t kDivisorMax = 1000;
// Longer numbers are not exact in a double, and validators compute with those.
constexpr size_t kExactDigits = 15;
constexpr size_t kSmallDigits = 17;  // fit an int64_t

// A divisor of `units` times 10^-places.
struct Divisor {
  int64_t units = 1;
  int places = 0;
};

std::optional<Divisor> to_divisor(const Decimal& divisor, Numbers numbers) {
  const std::string all = divisor.whole + divisor.fraction;
  if (divisor.negative || divisor.is_zero() || all.size() > kSmallDigits) return std::nullopt;
  Divisor out{std::stoll(all), static_cast<int>(divisor.fraction.size())};
  if (numbers == Numbers::kDecimals) return out;
  int64_t one = 1;
  for (int i = 0; i < out.places; ++i) one *= 10;
  return Divisor{out.units / std::gcd(out.units, one), 0};
}

// The same bound in units of 10^-places.
Bound scaled(Bound bound, int places) {
  std::string& fraction = bound.value.fraction;
  for (int i = 0; i < places; ++i) {
    bound.value.whole += fraction.empty() ? '0' : fraction[0];
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  const size_t zeros = bound.value.whole.find_first_not_of('0');
  bound.value.whole.erase(0, std::min(zeros, bound.value.whole.size() - 1));
  return bound;
}

// units * 10^-places as a decimal without trailing zeros.
std::string decimal_text(int64_t units, int places) {
  std::string text = std::to_string(units);
  if (places == 0) return text;
  const auto wanted = static_cast<size_t>(places) + 1;
  if (text.size() < wanted) text.insert(0, wanted - text.size(), '0');
  text.insert(text.size() - static_cast<size_t>(places), 1, '.');
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// Whole numbers first..last, 0 < first, that leave no remainder. Within the first and the last
// number's digits a walk is tied to them; off them, a place and a remainder are all that counts.
class MultiplesGraph {
 public:
  MultiplesGraph(Ir& ir, int64_t divisor) : ir_(ir), divisor_(divisor) {}

  ExprId expr(std::string_view first, std::string_view last) {
    for (size_t size = first.size(); size <= last.size(); ++size) {
      grow({kStart, 0, size, size == first.size() ? first : std::string_view(),
            size == last.size() ? last : std::string_view()});
    }
    for (GraphEdge& edge : edges_) {
      if (edge.to == kEnd) edge.to = vertices_;
    }
    return ir_.graph(vertices_ + 1, std::move(edges_));
  }

 private:
  static constexpr int32_t kStart = 0;
  static constexpr int32_t kEnd = -1;

  struct Walk {
    int32_t vertex = 0;
    int64_t remainder = 0;
    size_t left = 0;        // digits to come
    std::string_view low;   // their smallest value, or empty: any
    std::string_view high;  // their largest
  };

  void grow(const Walk& walk) {
    if (walk.left == 0) {
      if (walk.remainder == 0) edges_.push_back({walk.vertex, kEnd, ir_.empty()});
      return;
    }
    const char first = !walk.low.empty() ? walk.low[0] : walk.vertex == kStart ? '1' : '0';
    const char last = walk.high.empty() ? '9' : walk.high[0];
    for (char c = first; c <= last; ++c) {
      Walk next{0, (walk.remainder * 10 + (c - '0')) % divisor_, walk.left - 1, {}, {}};
      if (!walk.low.empty() && c == first) next.low = walk.low.substr(1);
      if (!walk.high.empty() && c == last) next.high = walk.high.substr(1);
      const bool known = next.low.empty() && next.high.empty() && follow(walk.vertex, c, next);
      if (known) continue;
      next.vertex = vertices_++;
      if (next.low.empty() && next.high.empty()) loose_[{next.left, next.remainder}] = next.vertex;
      edges_.push_back({walk.vertex, next.vertex, digit(ir_, c)});
      grow(next);
    }
  }

  bool follow(int32_t from, char c, const Walk& next) {
    const auto it = loose_.find({next.left, next.remainder});
    if (it == loose_.end()) return false;
    edges_.push_back({from, it->second, digit(ir_, c)});
    return true;
  }

  Ir& ir_;
  const int64_t divisor_;
  int32_t vertices_ = 1;
  std::map<std::pair<size_t, int64_t>, int32_t> loose_;
  std::vector<GraphEdge> edges_;
};

// Multiples of a decimal divisor, as large as digits go: a remainder before the point and after
// each place behind it.
ExprId unbounded_decimals(Ir& ir, const Divisor& divisor) {
  const auto m = static_cast<int32_t>(divisor.units);
  const int32_t zero = 1 + m;  // "0" was read
  const auto whole = [](int64_t r) { return static_cast<int32_t>(1 + r); };
  const auto place = [&](int j, int64_t r) { return static_cast<int32_t>(2 + m + j * m + r); };
  const int32_t end = place(divisor.places + 1, 0);
  std::vector<GraphEdge> edges{
      {0, zero, ir.literal("0")}, {zero, end, ir.empty()}, {zero, place(0, 0), ir.literal(".")}};
  std::vector<int64_t> shift(static_cast<size_t>(divisor.places) + 1, 1);  // 10^(places - j) mod m
  for (int j = divisor.places; j-- > 0;) {
    shift[static_cast<size_t>(j)] = shift[static_cast<size_t>(j) + 1] * 10 % m;
  }
  for (int d = 1; d <= 9; ++d) {
    edges.push_back({0, whole(d % m), digit(ir, static_cast<char>('0' + d))});
  }
  for (int64_t r = 0; r < m; ++r) {
    edges.push_back({whole(r), place(0, r), ir.literal(".")});
    if (r * shift[0] % m == 0) edges.push_back({whole(r), end, ir.empty()});
    for (int d = 0; d <= 9; ++d) {
      const ExprId one = digit(ir, static_cast<char>('0' + d));
      const int64_t next = (r * 10 + d) % m;
      edges.push_back({whole(r), whole(next), one});
      for (int j = 0; j < divisor.places; ++j)
        edges.push_back({place(j, r), place(j + 1, next), one});
    }
    for (int j = 1; j <= divisor.places; ++j) {
      if (r * shift[static_cast<size_t>(j)] % m == 0) {
        edges.push_back({place(j, r), end, ir.empty()});
      }
    }
  }
  return ir.graph(end + 1, std::move(edges));
}

// The multiples of an unsigned range, or nothing.
std::optional<ExprId> unsigned_multiples(Ir& ir, const Bound& low, const std::optional<Bound>& high,
                                         const Divisor& divisor) {
  WholeRange range =
      whole_range(scaled(low, divisor.places),
                  high ? std::optional(scaled(*high, divisor.places)) : std::optional<Bound>());
  if (less(range.last, range.first)) return ir.never();
  if (high && range.last.size() <= kSmallDigits) {
    const int64_t first = (std::stoll(range.first) + divisor.units - 1) / divisor.units;
    const int64_t last = std::stoll(range.last) / divisor.units;
    if (last - first < kListedMax) {
      std::vector<ExprId> parts;
      for (int64_t i = first; i <= last; ++i) {
        parts.push_back(ir.literal(decimal_text(i * divisor.units, divisor.places)));
      }
      return ir.choice(std::move(parts));
    }
  }
  if (divisor.places > 0) {
    const bool unbounded = !high && low.value.is_zero() && !low.exclusive;
    if (!unbounded || divisor.units * (divisor.places + 2) > 2 * kDivisorMax) return std::nullopt;
    return unbounded_decimals(ir, divisor);
  }
  if (divisor.units > kBoundedDivisorMax) return std::nullopt;
  if (!high) range.last = std::string(std::max(kExactDigits, range.first.size()), '9');
  const bool zero = range.first == "0";
  const ExprId rest = MultiplesGraph(ir, divisor.units).expr(zero ? "1" : range.first, range.last);
  return zero ? ir.choice({ir.literal("0"), rest}) : rest;
}

// Any number of digits, one vertex a remainder.
ExprId unbounded_integers(Ir& ir, int64_t divisor) {
  const auto end = static_cast<int32_t>(divisor) + 1;
  std::vector<GraphEdge> edges{{1, end, ir.empty()}};
  for (int64_t d = 1; d <= 9; ++d) {
    edges.push_back(
        {0, static_cast<int32_t>(1 + d % divisor), digit(ir, static_cast<char>('0' + d))});
  }
  for (int64_t remainder = 0; remainder < divisor; ++remainder) {
    for (int64_t d = 0; d <= 9; ++d) {
      const auto next = static_cast<int32_t>(1 + (remainder * 10 + d) % divisor);
      edges.push_back(
          {static_cast<int32_t>(1 + remainder), next, digit(ir, static_cast<char>('0' + d))});
    }
  }
  const ExprId positive = ir.graph(end + 1, std::move(edges));
  return ir.choice({ir.literal("0"), ir.seq({ir.optional(ir.literal("-")), positive})});
}

}  // namespace

std::optional<ExprId> multiple_expr(Ir& ir, const NumberRange& range, const Decimal& divisor,
                                    Numbers numbers) {
  const auto by = to_divisor(divisor, numbers);
  if (!by) return std::nullopt;
  const bool free = !range.low && !range.high;
  if (by->units == 1 && by->places > 0) return number_expr(ir, range, by->places);
  if (by->places == 0 && free && by->units > kBoundedDivisorMax && by->units <= kDivisorMax) {
    return unbounded_integers(ir, by->units);
  }
  bool possible = true;
  const ExprId all = with_sign(ir, range, [&](Bound low, const std::optional<Bound>& high) {
    // Among decimals without bounds zero may have a sign.
    if (free && by->places > 0) low.exclusive = false;
    const auto part = unsigned_multiples(ir, low, high, *by);
    possible = possible && part;
    return part.value_or(ir.never());
  });
  return possible ? std::optional(all) : std::nullopt;
}

}  // namespace hearth::grammar
