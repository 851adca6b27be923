// The history in SQLite: an append-only table of notes, a row for each start of workers on a node,
// and samples. Beside the state in one file, or in memory where the notes themselves are elsewhere.
// Owned by one thread.
#pragma once

#include "forge/server/records.h"
#include "io/sqlite.h"

namespace hearth::forge {

struct HistoryLimits {
  int64_t notes_max = 1'000'000;        // the oldest go first
  Millis samples_ms = 14 * 86'400'000;  // how far back samples and spans reach
};

class SqliteHistory : public History {
 public:
  std::vector<NumberedNote> notes(int64_t after, JobId job, int limit) override;
  std::vector<Span> spans(Millis from, Millis until, int limit) override;
  std::vector<Sample> samples(Millis from, Millis until) override;
  void add_sample(const Sample& sample) override;

 protected:
  // ":memory:" is nobody's file. Throws Error(kDataLoss) when the file is of a newer layout.
  SqliteHistory(const std::string& path, HistoryLimits limits);

  void add(const std::vector<Record>& records);
  // Of the newest note; 0: there is none.
  int64_t last_number() const { return last_number_; }

  io::Database db_;

 private:
  void trim(Millis now);

  HistoryLimits limits_;
  io::Statement put_note_;
  io::Statement open_span_;
  io::Statement close_span_;
  int64_t last_number_ = 0;
  int64_t notes_since_trim_ = 0;
};

}  // namespace hearth::forge
