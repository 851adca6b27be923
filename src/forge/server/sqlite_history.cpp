#include "forge/server/sqlite_history.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/error.h"

namespace hearth::forge {
namespace {

constexpr int64_t kLayout = 1;
constexpr int64_t kNotesBetweenTrims = 10'000;

constexpr const char* kHistorySchema = R"(
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS layout (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, job INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS notes_of_job ON notes (job, number);
CREATE TABLE IF NOT EXISTS spans (job INTEGER, epoch INTEGER, node INTEGER, devices TEXT,
  from_ms INTEGER, until_ms INTEGER, outcome INTEGER, PRIMARY KEY (job, epoch, node)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_in_time ON spans (until_ms, from_ms);
CREATE TABLE IF NOT EXISTS samples (at INTEGER PRIMARY KEY, body BLOB NOT NULL);
)";

std::string devices_on(const Job& job, NodeId node) {
  std::string out;
  for (const Slot& slot : job.placed) {
    if (slot.node == node) out += fmt::format("{}{}", out.empty() ? "" : ",", slot.device);
  }
  return out;
}

io::Database open_history(const std::string& path) {
  io::Database db(path);
  db.run(kHistorySchema);
  io::Statement version = db.prepare("SELECT version FROM layout");
  if (!version.step()) {
    db.run(fmt::format("INSERT INTO layout VALUES ({})", kLayout));
  } else if (version.integer(0) > kLayout) {
    throw_error(ErrorCode::kDataLoss, path, "layout {} is newer than this program's {}: update it",
                version.integer(0), kLayout);
  }
  return db;
}

}  // namespace

std::vector<Record> records_of(const Scheduler& scheduler, const std::vector<Note>& notes,
                               int64_t first) {
  std::vector<Record> out;
  for (const Note& note : notes) {
    Record record{first++, note, {}};
    if (note.kind == NoteKind::kStarted)
      record.devices = devices_on(scheduler.job(note.job), note.node);
    out.push_back(std::move(record));
  }
  return out;
}

SqliteHistory::SqliteHistory(const std::string& path, HistoryLimits limits)
    : db_(open_history(path)),
      limits_(limits),
      put_note_(db_.prepare("INSERT INTO notes (number, job, body) VALUES (?, ?, ?)")),
      open_span_(db_.prepare("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, -1, 0)")),
      close_span_(db_.prepare("UPDATE spans SET until_ms = ?, outcome = ? "
                              "WHERE job = ? AND epoch = ? AND node = ?")) {
  io::Statement last = db_.prepare("SELECT max(number) FROM notes");
  if (last.step()) last_number_ = last.integer(0);
}

void SqliteHistory::add(const std::vector<Record>& records) {
  for (const auto& [number, note, devices] : records) {
    put_note_.again().bind(number).bind(note.job).bind_bytes(pack(note)).run();
    last_number_ = number;
    if (note.kind == NoteKind::kStarted) {
      open_span_.again()
          .bind(note.job)
          .bind(note.epoch)
          .bind(note.node)
          .bind(devices)
          .bind(note.at)
          .run();
    } else if (note.kind == NoteKind::kEnded) {
      close_span_.again()
          .bind(note.at)
          .bind(static_cast<int64_t>(note.outcome))
          .bind(note.job)
          .bind(note.epoch)
          .bind(note.node)
          .run();
    }
  }
  notes_since_trim_ += static_cast<int64_t>(records.size());
  if (notes_since_trim_ >= kNotesBetweenTrims) trim(records.back().note.at);
}

void SqliteHistory::trim(Millis now) {
  notes_since_trim_ = 0;
  db_.prepare("DELETE FROM notes WHERE number <= (SELECT max(number) FROM notes) - ?")
      .bind(limits_.notes_max)
      .run();
  db_.prepare("DELETE FROM spans WHERE until_ms >= 0 AND until_ms < ?")
      .bind(now - limits_.samples_ms)
      .run();
  db_.prepare("DELETE FROM samples WHERE at < ?").bind(now - limits_.samples_ms).run();
}

std::vector<NumberedNote> SqliteHistory::notes(int64_t after, JobId job, int limit) {
  // Without a place to go on from: the last ones.
  const char* order = after < 0 ? "DESC" : "ASC";
  const std::string of_job = job < 0 ? "" : "AND job = ? ";
  io::Statement rows =
      db_.prepare(fmt::format("SELECT number, body FROM notes WHERE number > ? {}"
                              "ORDER BY number {} LIMIT ?",
                              of_job, order));
  rows.bind(after);
  if (job >= 0) rows.bind(job);
  rows.bind(limit);
  std::vector<NumberedNote> out;
  while (rows.step()) out.push_back({rows.integer(0), unpack<Note>(rows.text(1))});
  if (after < 0) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Span> SqliteHistory::spans(Millis from, Millis until, int limit) {
  io::Statement rows = db_.prepare(
      "SELECT job, epoch, node, devices, from_ms, until_ms, outcome FROM spans WHERE "
      "(until_ms < 0 OR until_ms >= ?) AND from_ms <= ? ORDER BY from_ms DESC LIMIT ?");
  rows.bind(from).bind(until).bind(limit);
  std::vector<Span> out;
  while (rows.step()) {
    out.push_back({static_cast<JobId>(rows.integer(0)), rows.integer(1),
                   static_cast<NodeId>(rows.integer(2)), rows.text(3), rows.integer(4),
                   rows.integer(5), static_cast<Outcome>(rows.integer(6))});
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Sample> SqliteHistory::samples(Millis from, Millis until) {
  io::Statement rows = db_.prepare("SELECT body FROM samples WHERE at BETWEEN ? AND ? ORDER BY at");
  rows.bind(from).bind(until);
  std::vector<Sample> out;
  while (rows.step()) out.push_back(unpack<Sample>(rows.text(0)));
  return out;
}

void SqliteHistory::add_sample(const Sample& sample) {
  db_.prepare("INSERT OR REPLACE INTO samples VALUES (?, ?)")
      .bind(sample.at)
      .bind_bytes(pack(sample))
      .run();
}

}  // namespace hearth::forge
