#include "io/sqlite.h"

#include <sqlite3.h>

#include "base/error.h"

namespace hearth::io {

namespace {

constexpr int kBusyMs = 5'000;

void check(int code, sqlite3* database, const std::string& path) {
  if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  throw_error(damaged ? ErrorCode::kDataLoss : ErrorCode::kIo, path, "SQLite: {}{}",
              database ? sqlite3_errmsg(database) : sqlite3_errstr(code),
              damaged ? "; move the file away to start with an empty one" : "");
}

}  // namespace

struct Database::Impl {
  sqlite3* handle = nullptr;
  std::string path;
  ~Impl() { sqlite3_close_v2(handle); }
};

struct Statement::Impl {
  sqlite3_stmt* handle = nullptr;
  std::string path;
  int bound = 0;
  ~Impl() { sqlite3_finalize(handle); }
  sqlite3* database() const { return sqlite3_db_handle(handle); }
};

Database::Database(const std::string& path) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  const int code = sqlite3_open_v2(path.c_str(), &impl_->handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (code != SQLITE_OK) {
    throw_error(ErrorCode::kIo, path,
                "cannot open the database: {}; is its folder there, and yours?",
                sqlite3_errstr(code));
  }
  sqlite3_busy_timeout(impl_->handle, kBusyMs);
  run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
}

Database::~Database() = default;
Database::Database(Database&&) noexcept = default;

void Database::run(const std::string& sql) {
  check(sqlite3_exec(impl_->handle, sql.c_str(), nullptr, nullptr, nullptr), impl_->handle,
        impl_->path);
}

Statement Database::prepare(const std::string& sql) {
  auto impl = std::make_unique<Statement::Impl>();
  impl->path = impl_->path;
  check(sqlite3_prepare_v2(impl_->handle, sql.c_str(), -1, &impl->handle, nullptr), impl_->handle,
        impl_->path);
  return Statement(std::move(impl));
}

int64_t Database::changes() const { return sqlite3_changes64(impl_->handle); }

Statement::Statement(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::bind(int64_t value) {
  check(sqlite3_bind_int64(impl_->handle, ++impl_->bound, value), impl_->database(), impl_->path);
  return *this;
}

Statement& Statement::bind(std::string_view value) {
  check(sqlite3_bind_text64(impl_->handle, ++impl_->bound, value.data(), value.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8),
        impl_->database(), impl_->path);
  return *this;
}

Statement& Statement::bind_bytes(std::string_view value) {
  check(sqlite3_bind_blob64(impl_->handle, ++impl_->bound, value.data(), value.size(),
                            SQLITE_TRANSIENT),
        impl_->database(), impl_->path);
  return *this;
}

Statement& Statement::again() {
  sqlite3_reset(impl_->handle);
  impl_->bound = 0;
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(impl_->handle);
  check(code, impl_->database(), impl_->path);
  return code == SQLITE_ROW;
}

void Statement::run() {
  while (step()) {
  }
}

int64_t Statement::integer(int column) { return sqlite3_column_int64(impl_->handle, column); }

std::string Statement::text(int column) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(impl_->handle, column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(impl_->handle, column));
  return bytes ? std::string(bytes, size) : std::string();
}

Transaction::Transaction(Database& database) : database_(database) {
  // IMMEDIATE: a reader that turns writer halfway could be refused.
  database_.run("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.run("ROLLBACK");
  } catch (const Error&) {
    // SQLite has taken it back by itself.
  }
}

void Transaction::commit() {
  database_.run("COMMIT");
  open_ = false;
}

}  // namespace hearth::io
