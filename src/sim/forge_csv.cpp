#include "sim/forge_csv.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/error.h"

namespace hearth::sim {

std::vector<std::string_view> split(std::string_view text, char by) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(by), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

double number_of(std::string_view cell, const std::string& what) {
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size())
    throw_error(ErrorCode::kDataLoss, what, "'{}' is no number", cell);
  return value;
}

CsvTable::CsvTable(std::string_view text, std::string name) : name_(std::move(name)) {
  for (std::string_view line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) rows_.push_back(split(line, ','));
  }
  if (rows_.size() < 2) throw_error(ErrorCode::kDataLoss, name_, "expected a header and rows");
}

std::string_view CsvTable::text(size_t row, std::string_view column) const {
  const auto& header = rows_[0];
  const auto place =
      static_cast<size_t>(std::find(header.begin(), header.end(), column) - header.begin());
  // A row that ends in an empty cell comes out one cell short.
  if (place == rows_[row + 1].size() && place + 1 == header.size()) return {};
  if (place >= rows_[row + 1].size())
    throw_error(ErrorCode::kDataLoss, name_, "row {} has no column '{}'", row + 1, column);
  return rows_[row + 1][place];
}

double CsvTable::number(size_t row, std::string_view column) const {
  return number_of(text(row, column), fmt::format("{} row {}, column {}", name_, row + 1, column));
}

}  // namespace hearth::sim
