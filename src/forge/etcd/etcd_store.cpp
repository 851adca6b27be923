#include "forge/etcd/etcd_store.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fmt/format.h>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "forge/codec/messages.h"

namespace hearth::forge {
namespace {

constexpr const char* kHeadKey = "head";
constexpr const char* kFleetKey = "fleet";
constexpr const char* kTurnKey = "turn";
constexpr const char* kTokenKey = "token";
constexpr size_t kNotesASlot = 4'096;
constexpr auto kInsistAgain = std::chrono::milliseconds(100);

struct StoredNode {
  Node spec;
  NodeImage image;
};
struct StoredNotes {
  int64_t turn = 0;  // which of them
  std::vector<Record> records;
};
struct StoredPut {
  std::string key;
  std::string value;
};

template <typename A, Is<StoredNode> T>
void fields(A& a, T& v) {
  a(v.spec, v.image);
}
template <typename A, Is<StoredNotes> T>
void fields(A& a, T& v) {
  a(v.turn, v.records);
}
template <typename A, Is<StoredPut> T>
void fields(A& a, T& v) {
  a(v.key, v.value);
}

// With zeros in front, so that keys are in the order of their numbers.
std::string key_of(const char* folder, int64_t number) {
  return fmt::format("{}/{:010}", folder, number);
}

size_t bytes_of(const EtcdRow& row) { return row.key.size() + row.value.size(); }

// As many as one transaction takes.
std::vector<EtcdRow> next_group(const std::vector<EtcdRow>& rows, size_t& at,
                                const EtcdStoreLimits& limits) {
  std::vector<EtcdRow> group;
  for (size_t bytes = 0; at < rows.size() && group.size() < limits.ops_max; ++at) {
    bytes += bytes_of(rows[at]);
    if (!group.empty() && bytes > limits.bytes_max) break;
    group.push_back(rows[at]);
  }
  return group;
}

}  // namespace

EtcdStore::EtcdStore(const Leadership& leadership, Etcd etcd, EtcdStoreLimits limits)
    : SqliteHistory(":memory:", {}),
      leadership_(leadership),
      etcd_(std::move(etcd)),
      limits_(limits) {}

// As long as nobody else leads: the cluster may only be choosing a leader of its own.
EtcdOutcome EtcdStore::insist(const EtcdWrite& write) {
  for (bool said = false;; said = true) {
    try {
      return etcd_.transact(write);
    } catch (const Error& error) {
      if (error.code != ErrorCode::kUnavailable || leadership_.over()) throw;
      if (!said) log::warn("{}", error.what());
      std::this_thread::sleep_for(kInsistAgain);
    }
  }
}

void EtcdStore::write(std::vector<EtcdRow> puts, std::vector<std::string> removed) {
  const std::string next = fmt::format("{} {} {}", number_ + 1, now_, leadership_.guard().created);
  EtcdWrite write;
  write.guards = {leadership_.guard(), {kHeadKey, 0, {}}};
  if (!head_.empty()) write.guards[1].value = head_;
  write.puts = std::move(puts);
  write.puts.push_back({kHeadKey, next});
  write.removed = std::move(removed);
  if (!insist(write).done) {
    // Done all the same if the head says so: then it was sent twice, since its answer was lost.
    const std::optional<EtcdRow> head = etcd_.get(kHeadKey);
    if (!head || head->value != next)
      throw_error(ErrorCode::kUnavailable, "etcd", "another server decides now");
  }
  head_ = next;
  ++number_;
}

void EtcdStore::confirm() {
  if (!insist({.guards = {leadership_.guard()}}).done)
    throw_error(ErrorCode::kUnavailable, "etcd", "another server decides now");
}

void EtcdStore::write_all(std::vector<EtcdRow> puts) {
  size_t bytes = 0;
  for (const EtcdRow& row : puts) bytes += bytes_of(row);
  if (puts.size() <= limits_.ops_max && bytes <= limits_.bytes_max) return write(std::move(puts));
  write_in_parts(puts);
}

void EtcdStore::write_in_parts(const std::vector<EtcdRow>& puts) {
  std::vector<StoredPut> stored;
  for (const EtcdRow& row : puts) stored.push_back({row.key, row.value});
  const std::string whole = pack(stored);
  std::vector<EtcdRow> parts;
  for (size_t at = 0; at < whole.size(); at += limits_.bytes_max)
    parts.push_back({key_of(kTurnKey, static_cast<int64_t>(parts.size())),
                     whole.substr(at, limits_.bytes_max)});
  const std::string count = std::to_string(parts.size());
  for (size_t i = 0; i + 1 < parts.size(); ++i) write({std::move(parts[i])});
  // From here on it has happened.
  write({std::move(parts.back()), {kTurnKey, count}});
  finish_turn();
}

void EtcdStore::finish_turn() {
  const std::optional<EtcdRow> count = etcd_.get(kTurnKey);
  if (!count) return;
  std::string whole;
  const auto parts = std::stoull(count->value);
  for (size_t i = 0; i < parts; ++i) {
    const std::optional<EtcdRow> part = etcd_.get(key_of(kTurnKey, static_cast<int64_t>(i)));
    if (!part)
      throw_error(ErrorCode::kDataLoss, "etcd", "part {} of {} of a turn is missing", i, parts);
    whole += part->value;
  }
  std::vector<EtcdRow> rows;
  for (StoredPut& put : unpack<std::vector<StoredPut>>(whole))
    rows.push_back({std::move(put.key), std::move(put.value)});
  for (size_t at = 0; at < rows.size();) {
    std::vector<EtcdRow> group = next_group(rows, at, limits_);
    write(std::move(group),
          at == rows.size() ? std::vector<std::string>{kTurnKey} : std::vector<std::string>{});
  }
}

Image EtcdStore::load() {
  if (const std::optional<EtcdRow> head = etcd_.get(kHeadKey)) {
    head_ = head->value;
    std::sscanf(head_.c_str(), "%ld %ld", &number_, &now_);
  }
  finish_turn();
  // Parts of a turn that never came to be.
  if (!etcd_.list(kTurnKey).empty()) write({}, {kTurnKey});
  Image image;
  image.now = now_;
  if (const std::optional<EtcdRow> fleet = etcd_.get(kFleetKey))
    image.fleet = unpack<FleetSpec>(fleet->value);
  for (const EtcdRow& row : etcd_.list("nodes/")) {
    auto node = unpack<StoredNode>(row.value);
    image.fleet.nodes.push_back(std::move(node.spec));
    image.nodes.push_back(std::move(node.image));
  }
  for (const EtcdRow& row : etcd_.list("jobs/")) {
    image.jobs.push_back(codec::decode_job(row.value));
    if (row.key != key_of("jobs", static_cast<int64_t>(image.jobs.size()) - 1)) {
      throw_error(ErrorCode::kDataLoss, row.key,
                  "the job before it is missing in etcd: bring back a snapshot that is whole");
    }
  }
  load_history();
  return image;
}

void EtcdStore::load_history() {
  std::vector<StoredNotes> turns;
  for (const EtcdRow& row : etcd_.list("notes/")) turns.push_back(unpack<StoredNotes>(row.value));
  std::sort(turns.begin(), turns.end(),
            [](const StoredNotes& a, const StoredNotes& b) { return a.turn < b.turn; });
  db_.run("BEGIN");
  for (const StoredNotes& turn : turns) add(turn.records);
  for (const EtcdRow& row : etcd_.list("samples/"))
    SqliteHistory::add_sample(unpack<Sample>(row.value));
  db_.run("COMMIT");
  note_turn_ = turns.empty() ? 0 : turns.back().turn + 1;
}

void EtcdStore::commit(const Scheduler& scheduler, const Changes& changes) {
  now_ = scheduler.now();
  std::vector<EtcdRow> puts;
  if (changes.fleet) puts.push_back({kFleetKey, pack(scheduler.spec())});
  for (NodeId id : changes.nodes) {
    const StoredNode node{scheduler.spec().nodes[static_cast<size_t>(id)],
                          scheduler.node_image(id)};
    puts.push_back({key_of("nodes", id), pack(node)});
  }
  for (JobId id : changes.jobs)
    puts.push_back({key_of("jobs", id), codec::encode_job(scheduler.job(id))});
  const std::vector<Record> records = records_of(scheduler, changes.notes, last_number() + 1);
  for (size_t at = 0; at < records.size(); at += kNotesASlot) {
    const auto first = records.begin() + static_cast<ptrdiff_t>(at);
    const size_t count = std::min(kNotesASlot, records.size() - at);
    const StoredNotes notes{note_turn_, {first, first + static_cast<ptrdiff_t>(count)}};
    puts.push_back({key_of("notes", note_turn_++ % limits_.note_slots), pack(notes)});
  }
  write_all(std::move(puts));
  add(records);
}

void EtcdStore::add_sample(const Sample& sample) {
  constexpr Millis kSlotMs = 10'000;
  write({{key_of("samples", sample.at / kSlotMs % limits_.sample_slots), pack(sample)}});
  SqliteHistory::add_sample(sample);
}

std::string shared_token(const EtcdOptions& options, const std::string& own) {
  Etcd etcd(options);
  etcd.transact({.guards = {{kTokenKey, 0, {}}}, .puts = {{kTokenKey, own}}});
  const std::optional<EtcdRow> token = etcd.get(kTokenKey);
  if (!token) throw_error(ErrorCode::kDataLoss, kTokenKey, "was removed from etcd");
  return token->value;
}

}  // namespace hearth::forge
