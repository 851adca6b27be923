// The store of several servers: a key a node, a key a job, in etcd. Whoever leads writes, and every
// write is one transaction that is guarded twice: by the key of its leadership, so that a deposed
// leader's fails, and by the number of the write before it, so that one which was sent twice or
// arrives late changes nothing.
//
//   head               number of the last write, the scheduler's time, whose leadership
//   fleet, nodes/ID, jobs/ID
//   notes/SLOT         the notes of a turn; so many turns, then the first slots are used again
//   samples/SLOT       the same for samples
//   turn, turn/PART    a turn too large for one transaction: whole once `turn` is there, and then
//                      carried out, by the next leader if this one does not come to it
//
// The notes and samples that are in etcd are also in a SQLite database in memory, where they are
// looked up. Owned by one thread.
#pragma once

#include "forge/etcd/leadership.h"
#include "forge/server/sqlite_history.h"
#include "forge/server/store.h"

namespace hearth::forge {

struct EtcdStoreLimits {
  size_t ops_max = 100;                      // of a transaction; etcd takes 128
  size_t bytes_max = size_t{768} << 10;      // of a transaction; etcd takes 1.5 MiB
  size_t job_bytes_max = size_t{512} << 10;  // of one job, which is one value
  int64_t note_slots = 16'384;               // turns with notes
  int64_t sample_slots = 8'640;              // a day, at one in ten seconds
};

class EtcdStore final : public Store, public SqliteHistory {
 public:
  // `leadership` outlives it.
  EtcdStore(const Leadership& leadership, Etcd etcd, EtcdStoreLimits limits = {});

  // To be called once, before anything else.
  Image load() override;
  void commit(const Scheduler& scheduler, const Changes& changes) override;
  void confirm() override;
  size_t job_bytes_max() const override { return limits_.job_bytes_max; }

  void add_sample(const Sample& sample) override;

 private:
  EtcdOutcome insist(const EtcdWrite& write);
  void write(std::vector<EtcdRow> puts, std::vector<std::string> removed = {});
  void write_all(std::vector<EtcdRow> puts);
  void write_in_parts(const std::vector<EtcdRow>& puts);
  void finish_turn();
  void load_history();

  const Leadership& leadership_;
  Etcd etcd_;
  EtcdStoreLimits limits_;
  std::string head_;  // as it is in etcd; empty: not there
  int64_t number_ = 0;
  Millis now_ = 0;
  int64_t note_turn_ = 0;  // the next one with notes
};

// The token of all servers: that of the first one. Each of them has `own` to offer.
std::string shared_token(const EtcdOptions& options, const std::string& own);

}  // namespace hearth::forge
