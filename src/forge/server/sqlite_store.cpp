#include "forge/server/sqlite_store.h"

#include <algorithm>

#include "forge/codec/messages.h"

namespace hearth::forge {
namespace {

constexpr const char* kStateSchema = R"(
CREATE TABLE IF NOT EXISTS fleet (id INTEGER PRIMARY KEY CHECK (id = 0), body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS nodes (id INTEGER PRIMARY KEY, spec BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL);
)";

io::Database& with_state(io::Database& db) {
  db.run(kStateSchema);
  return db;
}

}  // namespace

SqliteStore::SqliteStore(const std::string& path, HistoryLimits limits)
    : SqliteHistory(path, limits),
      put_job_(with_state(db_).prepare("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)")),
      put_node_(db_.prepare("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)")) {}

Image SqliteStore::load() {
  Image image;
  io::Statement fleet = db_.prepare("SELECT body FROM fleet");
  if (fleet.step()) image.fleet = unpack<FleetSpec>(fleet.text(0));
  io::Statement nodes = db_.prepare("SELECT spec, body FROM nodes ORDER BY id");
  while (nodes.step()) {
    image.fleet.nodes.push_back(unpack<Node>(nodes.text(0)));
    image.nodes.push_back(unpack<NodeImage>(nodes.text(1)));
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
        .bind_bytes(pack(scheduler.spec()))
        .run();
  }
  for (NodeId id : changes.nodes) {
    put_node_.again()
        .bind(id)
        .bind_bytes(pack(scheduler.spec().nodes[static_cast<size_t>(id)]))
        .bind_bytes(pack(scheduler.node_image(id)))
        .run();
  }
  for (JobId id : changes.jobs) {
    put_job_.again()
        .bind(id)
        .bind(scheduler.now())
        .bind_bytes(codec::encode_job(scheduler.job(id)))
        .run();
  }
  add(records_of(scheduler, changes.notes, last_number() + 1));
  db_.run("COMMIT");
}

}  // namespace hearth::forge
