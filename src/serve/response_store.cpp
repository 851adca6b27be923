#include "serve/response_store.h"

#include <mutex>

#include "io/sqlite.h"

namespace hearth::serve {

namespace {

constexpr const char* kResponsesTable =
    "CREATE TABLE IF NOT EXISTS responses ("
    "  number INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  tenant TEXT NOT NULL,"
    "  created_s INTEGER NOT NULL,"
    "  response TEXT NOT NULL,"
    "  conversation TEXT NOT NULL)";

}  // namespace

struct ResponseStore::Impl {
  std::mutex mutex;
  io::Database database;  // guarded by mutex
  const int64_t count_max;
};

ResponseStore::ResponseStore(const std::string& data_dir, int64_t count_max)
    : impl_(new Impl{{},
                     io::Database(data_dir.empty() ? ":memory:" : data_dir + "/responses.db"),
                     count_max}) {
  impl_->database.run(kResponsesTable);
}

ResponseStore::~ResponseStore() = default;

void ResponseStore::put(const StoredResponse& response) {
  const std::lock_guard lock(impl_->mutex);
  impl_->database
      .prepare(
          "INSERT INTO responses (id, tenant, created_s, response, conversation) "
          "VALUES (?, ?, ?, ?, ?)")
      .bind(response.id)
      .bind(response.tenant)
      .bind(response.created_s)
      .bind(response.response)
      .bind(response.conversation)
      .run();
  impl_->database
      .prepare("DELETE FROM responses WHERE number <= (SELECT max(number) FROM responses) - ?")
      .bind(impl_->count_max)
      .run();
}

std::optional<StoredResponse> ResponseStore::find(const std::string& id,
                                                  const std::string& tenant) {
  const std::lock_guard lock(impl_->mutex);
  auto statement = impl_->database.prepare(
      "SELECT created_s, response, conversation FROM responses WHERE id = ? AND tenant = ?");
  statement.bind(id).bind(tenant);
  if (!statement.step()) return std::nullopt;
  return StoredResponse{id, tenant, statement.integer(0), statement.text(1), statement.text(2)};
}

bool ResponseStore::erase(const std::string& id, const std::string& tenant) {
  const std::lock_guard lock(impl_->mutex);
  impl_->database.prepare("DELETE FROM responses WHERE id = ? AND tenant = ?")
      .bind(id)
      .bind(tenant)
      .run();
  return impl_->database.changes() > 0;
}

}  // namespace hearth::serve
