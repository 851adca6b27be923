#include "sim/forge_memory_store.h"

#include "base/error.h"
#include "forge/codec/messages.h"

namespace hearth::sim {

using namespace forge;

MemoryStore::MemoryStore(const FleetSpec& fleet) : fleet_(fleet) {
  for (size_t n = 0; n < fleet.nodes.size(); ++n) nodes_[static_cast<NodeId>(n)] = {};
}

Image MemoryStore::load() {
  Image image{fleet_, {}, {}, now_};
  for (const auto& [id, node] : nodes_) image.nodes.push_back(node);
  for (const auto& [id, bytes] : jobs_) image.jobs.push_back(codec::decode_job(bytes));
  return image;
}

void MemoryStore::commit(const Scheduler& scheduler, const Changes& changes) {
  now_ = scheduler.now();
  if (changes.fleet) fleet_ = scheduler.spec();
  for (NodeId id : changes.nodes) nodes_[id] = scheduler.node_image(id);
  before_.clear();
  for (JobId id : changes.jobs) {
    before_[id] = jobs_[id];
    const bool lost = lose_next_row_ && !jobs_[id].empty();
    if (lost) lose_next_row_ = false;
    if (!lost) jobs_[id] = codec::encode_job(scheduler.job(id));
  }
}

// A job that was only then submitted keeps its row: its owner has heard its number.
void MemoryStore::undo_last_commit() {
  for (const auto& [id, bytes] : before_) {
    if (!bytes.empty()) jobs_[id] = bytes;
  }
}

void FencedStore::commit(const Scheduler& scheduler, const Changes& changes) {
  if (deposed_) throw_error(ErrorCode::kUnavailable, "disk", "another server decides now");
  disk_.commit(scheduler, changes);
}

void FencedStore::confirm() {
  if (deposed_ && care_ == Care::kAsks)
    throw_error(ErrorCode::kUnavailable, "disk", "another server decides now");
}

}  // namespace hearth::sim
