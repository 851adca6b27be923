#include "io/migrations.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "io/sqlite.h"

namespace hearth::io {
namespace {

constexpr Migration kFirst{1, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"};
constexpr Migration kSecond{2, "INSERT INTO a VALUES (2)"};

int64_t sum(Database& database) {
  auto row = database.prepare("SELECT sum(x) FROM a");
  row.step();
  return row.integer(0);
}

TEST(Migrations, EachIsDoneOnce) {
  Database database(":memory:");
  const Migration one[] = {kFirst};
  migrate(database, one, "test.db");
  migrate(database, one, "test.db");
  EXPECT_EQ(sum(database), 1);
  const Migration both[] = {kFirst, kSecond};
  migrate(database, both, "test.db");
  migrate(database, both, "test.db");
  EXPECT_EQ(sum(database), 3);
}

TEST(Migrations, AFailedStepLeavesNothing) {
  Database database(":memory:");
  const Migration broken[] = {kFirst,
                              {2, "INSERT INTO a VALUES (7); INSERT INTO nowhere VALUES (1)"}};
  EXPECT_THROW(migrate(database, broken, "test.db"), Error);
  EXPECT_EQ(sum(database), 1);
  const Migration both[] = {kFirst, kSecond};
  migrate(database, both, "test.db");
  EXPECT_EQ(sum(database), 3);
}

TEST(Migrations, ADatabaseOfALaterProgramIsRefused) {
  Database database(":memory:");
  const Migration both[] = {kFirst, kSecond};
  migrate(database, both, "test.db");
  const Migration one[] = {kFirst};
  try {
    migrate(database, one, "test.db");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "test.db");
  }
}

TEST(Transaction, WithoutACommitIsTakenBack) {
  Database database(":memory:");
  database.run(kFirst.sql);
  {
    Transaction lost(database);
    database.run(kSecond.sql);
  }
  EXPECT_EQ(sum(database), 1);
  Transaction kept(database);
  database.run(kSecond.sql);
  kept.commit();
  EXPECT_EQ(sum(database), 3);
}

}  // namespace
}  // namespace hearth::io
