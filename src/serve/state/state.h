// The database of everything that the services remember: hearth.db in the data directory. The
// stores hold the SQL, each for its own tables. Any thread; other processes (hearth keys, say) may
// work on the same file.
#pragma once

#include <mutex>
#include <string>
#include <utility>

#include "io/sqlite.h"

namespace hearth::serve {

class State {
 public:
  // An empty data_dir keeps everything in memory. Throws Error naming the file.
  explicit State(const std::string& data_dir);

  // work(database), all or nothing. What it wrote survives the end of the process from the moment
  // this returns. Keep it short: the others wait.
  template <typename Work>
  auto write(Work&& work) {
    const std::lock_guard lock(mutex_);
    io::Transaction transaction(database_);
    if constexpr (std::is_void_v<decltype(work(database_))>) {
      work(database_);
      transaction.commit();
    } else {
      auto result = work(database_);
      transaction.commit();
      return result;
    }
  }

  template <typename Work>
  auto read(Work&& work) {
    const std::lock_guard lock(mutex_);
    return work(database_);
  }

  // Another number when another process has changed the database.
  int64_t foreign_version();

 private:
  std::mutex mutex_;
  io::Database database_;  // guarded by mutex_
};

}  // namespace hearth::serve
