// SQLite with our errors: a database file in WAL mode and prepared statements. One thread at a time
// for each Database and its statements.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hearth::io {

class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Values for the '?' from left to right.
  Statement& bind(int64_t value);
  Statement& bind(std::string_view value);
  Statement& bind_bytes(std::string_view value);  // any bytes, as they are
  // Ready to be bound and run once more.
  Statement& again();
  // True when there is a row.
  bool step();
  // To the end, without rows.
  void run();
  // NULL is 0, and the empty text.
  int64_t integer(int column);
  std::string text(int column);  // or bytes

 private:
  friend class Database;
  struct Impl;
  explicit Statement(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Database {
 public:
  // Opens or makes the file; ":memory:" is nobody's file. Throws Error{kIo} naming it and the cure.
  explicit Database(const std::string& path);
  ~Database();
  Database(Database&&) noexcept;

  // One or more statements without values or rows.
  void run(const std::string& sql);
  Statement prepare(const std::string& sql);
  // Rows changed by the last statement.
  int64_t changes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// From here to commit() all or nothing, also for other processes. Without a commit() it is taken
// back.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace hearth::io
