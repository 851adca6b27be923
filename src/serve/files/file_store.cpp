#include "serve/files/file_store.h"

#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "serve/state/paging.h"
#include "serve/state/state.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileColumns =
    "number, id, project, filename, purpose, bytes, created_s, expires_s";

StoredFile file_of(io::Statement& row) {
  return {row.integer(0), row.text(1),    row.text(2),    row.text(3),
          row.text(4),    row.integer(5), row.integer(6), row.integer(7)};
}

}  // namespace

FileStore::FileStore(State& state, const std::string& data_dir) : state_(state) {
  if (data_dir.empty()) return;
  folder_ = data_dir + "/files";
  spool_ = data_dir + "/uploads";
  fs::create_directories(folder_);
  fs::create_directories(spool_);
  remove_orphans();
}

void FileStore::require_place() const {
  if (!folder_.empty()) return;
  throw_error(ErrorCode::kUnsupported, "",
              "this server has no place for files; start it with --data-dir");
}

// What a process that was killed left behind: parts of files, and files that nobody heard of.
void FileStore::remove_orphans() {
  const auto named = [&](const std::string& name) {
    return state_.read([&](io::Database& database) {
      auto row = database.prepare("SELECT 1 FROM files WHERE id = ?");
      row.bind(name);
      return row.step();
    });
  };
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (named(entry.path().filename().string())) continue;
    std::error_code ignored;
    fs::remove(entry.path(), ignored);
  }
}

void FileStore::keep(const StoredFile& file, io::AtomicFile& bytes) {
  bytes.commit();
  state_.write([&](io::Database& database) { insert(database, file); });
}

void FileStore::insert(io::Database& database, const StoredFile& file) {
  database
      .prepare(
          "INSERT INTO files (id, project, filename, purpose, bytes, created_s, expires_s) "
          "VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind(file.id)
      .bind(file.project)
      .bind(file.filename)
      .bind(file.purpose)
      .bind(file.bytes)
      .bind(file.created_s)
      .bind(file.expires_s)
      .run();
}

std::optional<StoredFile> FileStore::find(const std::string& id, const std::string& project,
                                          int64_t now_s) {
  return state_.read([&](io::Database& database) -> std::optional<StoredFile> {
    auto row = database.prepare(fmt::format(
        "SELECT {} FROM files WHERE id = ? AND project = ? AND (expires_s = 0 OR expires_s > ?)",
        kFileColumns));
    row.bind(id).bind(project).bind(now_s);
    if (!row.step()) return std::nullopt;
    return file_of(row);
  });
}

Listed<StoredFile> FileStore::list(const std::string& project, const std::string& purpose,
                                   const Page& page, int64_t now_s) {
  return state_.read([&](io::Database& database) {
    PagedQuery query(database, "files", kFileColumns, page);
    query.where(fmt::format("(expires_s = 0 OR expires_s > {})", now_s));
    if (!project.empty()) query.where_equal("project", project);
    if (!purpose.empty()) query.where_equal("purpose", purpose);
    return query.collect<StoredFile>(file_of);
  });
}

int64_t FileStore::bytes_of(const std::string& project) {
  return state_.read([&](io::Database& database) {
    auto row = database.prepare("SELECT sum(bytes) FROM files WHERE project = ?");
    row.bind(project);
    return row.step() ? row.integer(0) : 0;
  });
}

bool FileStore::erase(const std::string& id, const std::string& project) {
  const bool was = state_.write([&](io::Database& database) {
    database.prepare("DELETE FROM files WHERE id = ? AND project = ?").bind(id).bind(project).run();
    return database.changes() > 0;
  });
  std::error_code ignored;
  if (was) fs::remove(path_of(id), ignored);
  return was;
}

void FileStore::erase_expired(int64_t now_s) {
  const auto gone = state_.read([&](io::Database& database) {
    auto rows =
        database.prepare("SELECT id, project FROM files WHERE expires_s > 0 AND expires_s <= ?");
    rows.bind(now_s);
    std::vector<std::pair<std::string, std::string>> out;
    while (rows.step()) out.emplace_back(rows.text(0), rows.text(1));
    return out;
  });
  for (const auto& [id, project] : gone) {
    erase(id, project);
    log::info("file expired id={} project={}", id, project);
  }
}

}  // namespace hearth::serve
