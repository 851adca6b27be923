// The store and the history in one SQLite file: a row a node, a row a job, the latest state of
// each, and an append-only table of notes. A commit is one transaction, forced to the disk. Rows
// instead of a journal, so that a start reads 100,000 jobs in well under a second and does not
// depend on which version of which policy decided what.
#pragma once

#include "forge/server/store.h"
#include "io/sqlite.h"

namespace hearth::forge {

struct StoreLimits {
  int64_t notes_max = 1'000'000;        // the oldest go first
  Millis samples_ms = 14 * 86'400'000;  // how far back samples and spans reach
};

class SqliteStore final : public Store, public History {
 public:
  // ":memory:" is nobody's file. Throws Error(kDataLoss) when the file is of a newer layout.
  explicit SqliteStore(const std::string& path, StoreLimits limits = {});

  Image load() override;
  void commit(const Scheduler& scheduler, const Changes& changes) override;

  std::vector<NumberedNote> notes(int64_t after, JobId job, int limit) override;
  std::vector<Span> spans(Millis from, Millis until, int limit) override;
  std::vector<Sample> samples(Millis from, Millis until) override;
  void add_sample(const Sample& sample) override;

 private:
  void write_notes(const Scheduler& scheduler, const std::vector<Note>& notes);
  void trim(Millis now);

  io::Database db_;
  StoreLimits limits_;
  io::Statement put_job_;
  io::Statement put_node_;
  io::Statement put_note_;
  io::Statement open_span_;
  io::Statement close_span_;
  int64_t notes_since_trim_ = 0;
};

}  // namespace hearth::forge
