// The tables of published traces: text in, cells by column name. No quotes, as they have none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::sim {

std::vector<std::string_view> split(std::string_view text, char by);

// Keeps views of `text`. Errors name `name`, the row and the column.
class CsvTable {
 public:
  CsvTable(std::string_view text, std::string name);

  size_t size() const { return rows_.size() - 1; }
  std::string_view text(size_t row, std::string_view column) const;
  double number(size_t row, std::string_view column) const;

 private:
  std::string name_;
  std::vector<std::vector<std::string_view>> rows_;
};

// The whole cell as a number; errors say that it is `what`.
double number_of(std::string_view cell, const std::string& what);

}  // namespace hearth::sim
