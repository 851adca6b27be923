// A disk for a server in virtual time: rows of bytes, as the real one keeps them.
#pragma once

#include <map>
#include <string>

#include "forge/server/store.h"

namespace hearth::sim {

class MemoryStore final : public forge::Store {
 public:
  // Knows the nodes of `fleet`; agents need not enrol.
  explicit MemoryStore(const forge::FleetSpec& fleet);

  forge::Image load() override;
  void commit(const forge::Scheduler& scheduler, const forge::Changes& changes) override;

  // A planted bug: one job of the next commit does not reach the disk.
  void lose_next_row() { lose_next_row_ = true; }
  // Another one: what the last commit wrote about jobs is not there.
  void undo_last_commit();

 private:
  forge::FleetSpec fleet_;
  std::map<forge::NodeId, forge::NodeImage> nodes_;
  std::map<forge::JobId, std::string> jobs_;
  std::map<forge::JobId, std::string> before_;  // the last commit; empty text: no row
  forge::Millis now_ = 0;
  bool lose_next_row_ = false;
};

// The disk as one of several servers reaches it: as long as no other one decides.
class FencedStore final : public forge::Store {
 public:
  // Whether it asks before it says what it need not write down; one that does not is a planted bug.
  enum class Care { kAsks, kPresumes };

  FencedStore(MemoryStore& disk, Care care) : disk_(disk), care_(care) {}

  forge::Image load() override { return disk_.load(); }
  void commit(const forge::Scheduler& scheduler, const forge::Changes& changes) override;
  void confirm() override;
  void depose() { deposed_ = true; }

 private:
  MemoryStore& disk_;
  Care care_;
  bool deposed_ = false;
};

}  // namespace hearth::sim
