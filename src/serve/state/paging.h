// Lists as OpenAI pages them: `limit` entries after the one with an id, newest first unless asked
// otherwise. For the stores; under State's lock.
#pragma once

#include <string>
#include <vector>

#include "io/sqlite.h"
#include "serve/state/page.h"

namespace hearth::serve {

// Over a table with `number` and `id`.
class PagedQuery {
 public:
  static constexpr int64_t kAll = INT64_MAX - 1;

  PagedQuery(io::Database& database, std::string table, std::string columns, Page page);

  // With one value for each '?' in it.
  void where(const std::string& condition, const std::vector<std::string>& values = {});
  void where_equal(const std::string& column, const std::string& value);
  // One of `values`; no values: any.
  void where_in(const std::string& column, const std::vector<std::string>& values);

  template <typename T, typename Read>
  Listed<T> collect(Read&& read) {
    io::Statement rows = begin();
    Listed<T> out;
    while (rows.step()) {
      if (std::ssize(out.entries) == page_.limit) {
        out.has_more = true;
        break;
      }
      out.entries.push_back(read(rows));
    }
    return out;
  }

 private:
  io::Statement begin();

  io::Database& database_;
  const std::string table_;
  const std::string columns_;
  const Page page_;
  std::string conditions_;
  std::vector<std::string> values_;
};

}  // namespace hearth::serve
