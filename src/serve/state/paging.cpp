#include "serve/state/paging.h"

#include "base/error.h"

namespace hearth::serve {

PagedQuery::PagedQuery(io::Database& database, std::string table, std::string columns, Page page)
    : database_(database),
      table_(std::move(table)),
      columns_(std::move(columns)),
      page_(std::move(page)) {}

void PagedQuery::where(const std::string& condition, const std::vector<std::string>& values) {
  conditions_ += (conditions_.empty() ? " WHERE " : " AND ") + condition;
  values_.insert(values_.end(), values.begin(), values.end());
}

void PagedQuery::where_equal(const std::string& column, const std::string& value) {
  where(column + " = ?", {value});
}

void PagedQuery::where_in(const std::string& column, const std::vector<std::string>& values) {
  if (values.empty()) return;
  std::string marks;
  for (size_t i = 0; i < values.size(); ++i) marks += i == 0 ? "?" : ", ?";
  where(fmt::format("{} IN ({})", column, marks), values);
}

io::Statement PagedQuery::begin() {
  if (!page_.after.empty()) {
    auto row = database_.prepare(fmt::format("SELECT number FROM {} WHERE id = ?", table_));
    row.bind(page_.after);
    if (!row.step()) {
      throw_error(ErrorCode::kInvalidArgument, "after", "'after': there is no '{}'", page_.after);
    }
    where(fmt::format("number {} {}", page_.ascending ? '>' : '<', row.integer(0)));
  }
  auto rows =
      database_.prepare(fmt::format("SELECT {} FROM {}{} ORDER BY number {} LIMIT ?", columns_,
                                    table_, conditions_, page_.ascending ? "ASC" : "DESC"));
  for (const std::string& value : values_) rows.bind(value);
  rows.bind(page_.limit + 1);  // one more tells whether there are more
  return rows;
}

}  // namespace hearth::serve
