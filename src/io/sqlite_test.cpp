#include "io/sqlite.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace hearth::io {
namespace {

TEST(Sqlite, KeepsRows) {
  Database database(":memory:");
  database.run("CREATE TABLE t (a INTEGER, b TEXT)");
  database.prepare("INSERT INTO t VALUES (?, ?)").bind(7).bind("x\0y\"z").run();
  EXPECT_EQ(database.changes(), 1);
  auto rows = database.prepare("SELECT a, b FROM t WHERE a = ?");
  rows.bind(7);
  ASSERT_TRUE(rows.step());
  EXPECT_EQ(rows.integer(0), 7);
  EXPECT_EQ(rows.text(1), "x");
  EXPECT_FALSE(rows.step());
}

TEST(Sqlite, ErrorsNameTheFile) {
  try {
    Database database("/nowhere/at/all.db");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.where, "/nowhere/at/all.db");
  }
  Database database(":memory:");
  EXPECT_THROW(database.prepare("SELEKT"), Error);
}

}  // namespace
}  // namespace hearth::io
