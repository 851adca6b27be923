#include "io/migrations.h"

#include "base/check.h"
#include "base/error.h"
#include "io/sqlite.h"

namespace hearth::io {
namespace {

int64_t version_of(Database& database) {
  auto row = database.prepare("PRAGMA user_version");
  return row.step() ? row.integer(0) : 0;
}

}  // namespace

void migrate(Database& database, std::span<const Migration> steps, const std::string& where) {
  int64_t expected = 0;
  for (const Migration& step : steps) {
    CHECK(step.number == ++expected, "migration {} stands at place {}", step.number, expected);
    if (version_of(database) >= step.number) continue;
    Transaction transaction(database);
    // Another process may have been faster.
    if (version_of(database) >= step.number) continue;
    database.run(step.sql);
    database.run(fmt::format("PRAGMA user_version = {}", step.number));
    transaction.commit();
  }
  const int64_t version = version_of(database);
  if (version > expected) {
    throw_error(ErrorCode::kUnsupported, where,
                "the database has version {} and this program knows up to {}; use the newer "
                "program, or another --data-dir",
                version, expected);
  }
}

}  // namespace hearth::io
