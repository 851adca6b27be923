#include "forge/core/device_prices.h"

#include <algorithm>
#include <array>
#include <optional>

namespace hearth::forge {
namespace {

constexpr size_t kSizesMax = 32;  // those of which most is wanted; the others hardly matter
constexpr size_t kPatternsMax = 256;
constexpr double kNothing = 1e-9;
constexpr double kMore = 1e-6;
constexpr double kMillionths = 1e6;

using Row = std::vector<double>;

struct Size {
  int32_t milli = 0;
  double wanted = 0;  // parts for each device of the fleet
};

// So many of each size on one device.
using Pattern = std::vector<int32_t>;

// max sum of what the patterns sell, with no size sold beyond what is wanted and one pattern a
// device: a simplex tableau that grows by columns. A row for each size, then one for devices.
class Programme {
 public:
  explicit Programme(std::span<const Size> sizes) : rows_(sizes.size() + 1) {
    for (size_t i = 0; i < rows_; ++i) {
      Row row(rows_ + 1, 0);
      row[i] = 1;
      // A little more of each than there is, and of no two equally much: devices stay dear, and
      // equal ones are never in each other's way for ever.
      row[rows_] = i + 1 < rows_ ? sizes[i].wanted * (1 + kMore * static_cast<double>(i + 1)) : 1;
      tableau_.push_back(std::move(row));
    }
    costs_.assign(rows_ + 1, 0);
  }

  // Of size i, and with i = the number of sizes of a device.
  double price(size_t i) const { return costs_[i]; }

  // Brings a pattern in and goes to the new best.
  void add(const Pattern& pattern, double sells) {
    Row column(rows_, 0);
    for (size_t i = 0; i < rows_; ++i) {
      for (size_t k = 0; k < rows_; ++k)
        column[i] += tableau_[i][k] * (k + 1 < rows_ ? pattern[k] : 1.0);
    }
    double gain = sells;
    for (size_t k = 0; k < rows_; ++k) gain -= costs_[k] * (k + 1 < rows_ ? pattern[k] : 1.0);
    columns_.push_back(std::move(column));
    gains_.push_back(gain);
    improve();
  }

 private:
  void improve() {
    for (size_t turn = 0; turn < kTurnsMax; ++turn) {
      const Best entering = best_entering();
      if (entering.gain <= kNothing) return;
      const std::optional<size_t> row = leaving(column(entering));
      if (!row) return;
      pivot(*row, entering);
    }
  }

  struct Best {
    bool slack = false;
    size_t index = 0;
    double gain = 0;
  };
  // Among the patterns, and among selling less of a size or leaving devices idle.
  Best best_entering() const {
    Best best;
    for (size_t p = 0; p < gains_.size(); ++p) {
      if (gains_[p] > best.gain) best = {false, p, gains_[p]};
    }
    for (size_t i = 0; i < rows_; ++i) {
      if (-costs_[i] > best.gain) best = {true, i, -costs_[i]};
    }
    return best;
  }

  Row column(const Best& entering) const {
    if (!entering.slack) return columns_[entering.index];
    Row out(rows_);
    for (size_t i = 0; i < rows_; ++i) out[i] = tableau_[i][entering.index];
    return out;
  }

  std::optional<size_t> leaving(const Row& column) const {
    std::optional<size_t> best;
    double least = 0;
    for (size_t i = 0; i < rows_; ++i) {
      if (column[i] <= kNothing) continue;
      const double ratio = tableau_[i][rows_] / column[i];
      if (!best || ratio < least) best = i, least = ratio;
    }
    return best;
  }

  void pivot(size_t row, const Best& entering) {
    const Row by = column(entering);
    const double pivot = by[row], gain = entering.gain;
    for (double& cell : tableau_[row]) cell /= pivot;
    std::vector<double> in_row(columns_.size());
    for (size_t p = 0; p < columns_.size(); ++p) in_row[p] = columns_[p][row] /= pivot;
    for (size_t i = 0; i < rows_; ++i) {
      if (i == row || by[i] == 0) continue;
      for (size_t k = 0; k <= rows_; ++k) tableau_[i][k] -= by[i] * tableau_[row][k];
      for (size_t p = 0; p < columns_.size(); ++p) columns_[p][i] -= by[i] * in_row[p];
    }
    for (size_t k = 0; k <= rows_; ++k) costs_[k] += gain * tableau_[row][k];
    for (size_t p = 0; p < columns_.size(); ++p) gains_[p] -= gain * in_row[p];
  }

  static constexpr size_t kTurnsMax = 1'000;

  size_t rows_;
  std::vector<Row> tableau_;  // the inverse of the basis, and what is made of each of its columns
  Row costs_;                 // prices, and what is sold in all
  std::vector<Row> columns_;  // of the patterns, in terms of the basis
  std::vector<double> gains_;
};

std::vector<Size> sizes_of(std::span<const int64_t> wanted) {
  std::vector<Size> out;
  for (size_t milli = 1; milli < wanted.size(); ++milli) {
    if (wanted[milli] <= 0) continue;
    out.push_back({static_cast<int32_t>(milli), static_cast<double>(wanted[milli])});
  }
  const auto sold = [](const Size& size) { return size.milli * size.wanted; };
  std::stable_sort(out.begin(), out.end(),
                   [&](const Size& a, const Size& b) { return sold(a) > sold(b); });
  if (out.size() > kSizesMax) out.resize(kSizesMax);
  // As if just as much were wanted as there is: then devices are dear, and waste counts.
  double volume = 0;
  for (const Size& size : out) volume += sold(size);
  for (Size& size : out) size.wanted *= kWholeDevice / volume;
  return out;
}

struct Filling {
  Row value = Row(kWholeDevice + 1, 0);             // the best, by what is free
  std::array<int32_t, kWholeDevice + 1> last = {};  // a size in it; -1: a thousandth stays empty
};

// `worth`: of one part of each size.
Filling best_fillings(std::span<const Size> sizes, const Row& worth) {
  Filling out;
  for (int32_t free = 1; free <= kWholeDevice; ++free) {
    const auto at = static_cast<size_t>(free);
    out.value[at] = out.value[at - 1];
    out.last[at] = -1;
    for (size_t i = 0; i < sizes.size(); ++i) {
      if (sizes[i].milli > free) continue;
      const double value = out.value[static_cast<size_t>(free - sizes[i].milli)] + worth[i];
      if (value > out.value[at] + kNothing)
        out.value[at] = value, out.last[at] = static_cast<int32_t>(i);
    }
  }
  return out;
}

Pattern pattern_of(std::span<const Size> sizes, const Filling& filling) {
  Pattern out(sizes.size(), 0);
  for (int32_t free = kWholeDevice; free > 0;) {
    const int32_t size = filling.last[static_cast<size_t>(free)];
    if (size >= 0) ++out[static_cast<size_t>(size)];
    free -= size >= 0 ? sizes[static_cast<size_t>(size)].milli : 1;
  }
  return out;
}

double sold_by(std::span<const Size> sizes, const Pattern& pattern) {
  double out = 0;
  for (size_t i = 0; i < sizes.size(); ++i) out += pattern[i] * sizes[i].milli;
  return out / kWholeDevice;
}

}  // namespace

DevicePrices::DevicePrices() : value_(kWholeDevice + 1, 0) {}

DevicePrices::DevicePrices(std::span<const int64_t> wanted) : DevicePrices() {
  const std::vector<Size> sizes = sizes_of(wanted);
  if (sizes.empty()) return;
  Programme programme(sizes);
  Filling filling;
  for (size_t patterns = 0; patterns < kPatternsMax; ++patterns) {
    Row worth;
    for (size_t i = 0; i < sizes.size(); ++i)
      worth.push_back(static_cast<double>(sizes[i].milli) / kWholeDevice - programme.price(i));
    filling = best_fillings(sizes, worth);
    if (filling.value[kWholeDevice] <= programme.price(sizes.size()) + kNothing) break;
    const Pattern pattern = pattern_of(sizes, filling);
    programme.add(pattern, sold_by(sizes, pattern));
  }
  for (size_t free = 0; free < value_.size(); ++free)
    value_[free] = static_cast<int64_t>(filling.value[free] * kMillionths + 0.5);
}

}  // namespace hearth::forge
