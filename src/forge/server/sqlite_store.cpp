#include "forge/server/sqlite_store.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/error.h"
#include "forge/codec/binary.h"
#include "forge/codec/fields.h"
#include "forge/codec/messages.h"

namespace hearth::forge {
namespace {

constexpr int64_t kLayout = 1;
constexpr int64_t kNotesBetweenTrims = 10'000;

constexpr const char* kSchema = R"(
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS layout (version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS fleet (id INTEGER PRIMARY KEY CHECK (id = 0), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS nodes (id INTEGER PRIMARY KEY, spec BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, job INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS notes_of_job ON notes (job, number);
CREATE TABLE IF NOT EXISTS spans (job INTEGER, epoch INTEGER, node INTEGER, devices TEXT,
  from_ms INTEGER, until_ms INTEGER, outcome INTEGER, PRIMARY KEY (job, epoch, node)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_in_time ON spans (until_ms, from_ms);
CREATE TABLE IF NOT EXISTS samples (at INTEGER PRIMARY KEY, body BLOB NOT NULL);
)";

template <typename T>
std::string encode(const T& value) {
  codec::Writer out;
  out.put(value);
  return out.bytes();
}

template <typename T>
T decode(const std::string& bytes) {
  T value{};
  codec::Reader(bytes).get(value);
  return value;
}

std::string devices_on(const Job& job, NodeId node) {
  std::string out;
  for (const Slot& slot : job.placed) {
    if (slot.node == node) out += fmt::format("{}{}", out.empty() ? "" : ",", slot.device);
  }
  return out;
}

io::Database open(const std::string& path) {
  io::Database db(path);
  db.run(kSchema);
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

// A sample is stored and never sent.
template <typename A, Is<Sample> T>
void fields(A& a, T& v) {
  a(v.at, v.devices, v.busy_milli, v.running, v.waiting, v.vc_milli);
}

SqliteStore::SqliteStore(const std::string& path, StoreLimits limits)
    : db_(open(path)),
      limits_(limits),
      put_job_(db_.prepare("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)")),
      put_node_(db_.prepare("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)")),
      put_note_(db_.prepare("INSERT INTO notes (job, body) VALUES (?, ?)")),
      open_span_(db_.prepare("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, -1, 0)")),
      close_span_(db_.prepare("UPDATE spans SET until_ms = ?, outcome = ? "
                              "WHERE job = ? AND epoch = ? AND node = ?")) {}

Image SqliteStore::load() {
  Image image;
  io::Statement fleet = db_.prepare("SELECT body FROM fleet");
  if (fleet.step()) image.fleet = decode<FleetSpec>(fleet.text(0));
  io::Statement nodes = db_.prepare("SELECT spec, body FROM nodes ORDER BY id");
  while (nodes.step()) {
    image.fleet.nodes.push_back(decode<Node>(nodes.text(0)));
    image.nodes.push_back(decode<NodeImage>(nodes.text(1)));
  }
  io::Statement jobs = db_.prepare("SELECT at, body FROM jobs ORDER BY id");
  while (jobs.step()) {
    image.now = std::max(image.now, jobs.integer(0));
    image.jobs.push_back(codec::decode_job(jobs.text(1)));
  }
  return image;
}

void SqliteStore::commit(const Scheduler& scheduler, const Changes& changes) {
  // When a statement throws, nobody goes on with this object, and closing it rolls back.
  db_.run("BEGIN IMMEDIATE");
  if (changes.fleet) {
    db_.prepare("INSERT OR REPLACE INTO fleet VALUES (0, ?)")
        .bind_bytes(encode(scheduler.spec()))
        .run();
  }
  for (NodeId id : changes.nodes) {
    put_node_.again()
        .bind(id)
        .bind_bytes(encode(scheduler.spec().nodes[static_cast<size_t>(id)]))
        .bind_bytes(encode(scheduler.node_image(id)))
        .run();
  }
  for (JobId id : changes.jobs) {
    put_job_.again()
        .bind(id)
        .bind(scheduler.now())
        .bind_bytes(codec::encode_job(scheduler.job(id)))
        .run();
  }
  write_notes(scheduler, changes.notes);
  db_.run("COMMIT");
}

void SqliteStore::write_notes(const Scheduler& scheduler, const std::vector<Note>& notes) {
  for (const Note& note : notes) {
    put_note_.again().bind(note.job).bind_bytes(encode(note)).run();
    if (note.kind == NoteKind::kStarted) {
      open_span_.again()
          .bind(note.job)
          .bind(note.epoch)
          .bind(note.node)
          .bind(devices_on(scheduler.job(note.job), note.node))
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
  notes_since_trim_ += static_cast<int64_t>(notes.size());
  if (notes_since_trim_ >= kNotesBetweenTrims) trim(scheduler.now());
}

void SqliteStore::trim(Millis now) {
  notes_since_trim_ = 0;
  db_.prepare("DELETE FROM notes WHERE number <= (SELECT max(number) FROM notes) - ?")
      .bind(limits_.notes_max)
      .run();
  db_.prepare("DELETE FROM spans WHERE until_ms >= 0 AND until_ms < ?")
      .bind(now - limits_.samples_ms)
      .run();
  db_.prepare("DELETE FROM samples WHERE at < ?").bind(now - limits_.samples_ms).run();
}

std::vector<NumberedNote> SqliteStore::notes(int64_t after, JobId job, int limit) {
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
  while (rows.step()) out.push_back({rows.integer(0), decode<Note>(rows.text(1))});
  if (after < 0) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Span> SqliteStore::spans(Millis from, Millis until, int limit) {
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

std::vector<Sample> SqliteStore::samples(Millis from, Millis until) {
  io::Statement rows = db_.prepare("SELECT body FROM samples WHERE at BETWEEN ? AND ? ORDER BY at");
  rows.bind(from).bind(until);
  std::vector<Sample> out;
  while (rows.step()) out.push_back(decode<Sample>(rows.text(0)));
  return out;
}

void SqliteStore::add_sample(const Sample& sample) {
  db_.prepare("INSERT OR REPLACE INTO samples VALUES (?, ?)")
      .bind(sample.at)
      .bind_bytes(encode(sample))
      .run();
}

}  // namespace hearth::forge
