// Files of tenants: uploaded ones, and those that batches and tuning jobs write. Bytes lie in
// DATA_DIR/files under their id, the rest in the database. A file without a row is nobody's: it
// goes at the next start. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/state/page.h"

namespace hearth::io {
class AtomicFile;
class Database;
}  // namespace hearth::io

namespace hearth::serve {

class State;

struct StoredFile {
  int64_t number = 0;
  std::string id;  // "file-..."
  std::string project;
  std::string filename;
  std::string purpose;
  int64_t bytes = 0;
  int64_t created_s = 0;
  int64_t expires_s = 0;  // 0: never
};

// What a tenant may ask for, in seconds.
constexpr int64_t kFileExpiryMinS = 3600;
constexpr int64_t kFileExpiryMaxS = 2'592'000;

class FileStore {
 public:
  // Without a data_dir there are no files.
  FileStore(State& state, const std::string& data_dir);

  // Throws Error{kUnsupported} where there is no place for files.
  void require_place() const;
  // Where bodies of uploads wait to be read; empty: nowhere.
  const std::string& spool_folder() const { return spool_; }
  std::string path_of(const std::string& id) const { return folder_ + "/" + id; }

  // Commits `bytes`, which were written to path_of(file.id), and remembers the file.
  void keep(const StoredFile& file, io::AtomicFile& bytes);
  // Remembers a file whose bytes are in place, as a part of somebody's transaction.
  static void insert(io::Database& database, const StoredFile& file);

  // Of one tenant; what has expired is gone.
  std::optional<StoredFile> find(const std::string& id, const std::string& project, int64_t now_s);
  // An empty project is all of them; an empty purpose any.
  Listed<StoredFile> list(const std::string& project, const std::string& purpose, const Page& page,
                          int64_t now_s);
  int64_t bytes_of(const std::string& project);
  // False when there was none.
  bool erase(const std::string& id, const std::string& project);
  void erase_expired(int64_t now_s);

 private:
  void remove_orphans();

  State& state_;
  std::string folder_;
  std::string spool_;
};

}  // namespace hearth::serve
