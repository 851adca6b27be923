// The store and the history in one SQLite file: a row a node, a row a job, the latest state of
// each, and an append-only table of notes. A commit is one transaction, forced to the disk. Rows
// instead of a journal, so that a start reads 100,000 jobs in well under a second and does not
// depend on which version of which policy decided what.
#pragma once

#include "forge/server/sqlite_history.h"
#include "forge/server/store.h"

namespace hearth::forge {

class SqliteStore final : public Store, public SqliteHistory {
 public:
  explicit SqliteStore(const std::string& path, HistoryLimits limits = {});

  Image load() override;
  void commit(const Scheduler& scheduler, const Changes& changes) override;

 private:
  io::Statement put_job_;
  io::Statement put_node_;
};

}  // namespace hearth::forge
