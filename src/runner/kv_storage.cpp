#include "runner/kv_storage.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <sys/mman.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>

#include "base/error.h"

namespace hearth::runner {
namespace {

constexpr size_t kFilledAtOnce = size_t{2} << 20;  // a huge page
constexpr int kLowestPriority = 19;

}  // namespace

// The map is `parts` arrays of `part_bytes`, all blocks of one after another; blocks are filled in
// the order of their numbers, which is the order in which the engine first uses them.
class KvStorage::Filler {
 public:
  Filler(char* map, size_t parts, size_t part_bytes, int32_t num_blocks)
      : map_(map),
        parts_(parts),
        part_bytes_(part_bytes),
        block_bytes_(part_bytes / static_cast<size_t>(num_blocks)),
        thread_([this] { work(); }) {}
  ~Filler() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  // A huge page of each part is ready beyond the blocks that are used, once the first is half full:
  // a few short texts take no more than they need.
  void reach(int32_t blocks) {
    const size_t used = static_cast<size_t>(blocks) * block_bytes_;
    if (blocks < reached_ || used < kFilledAtOnce / 2) return;
    // Half of what was made ready is left before more is.
    reached_ = blocks + static_cast<int32_t>(kFilledAtOnce / 2 / block_bytes_) + 1;
    {
      const std::lock_guard lock(mutex_);
      wanted_ = std::min(used + kFilledAtOnce, part_bytes_);
    }
    wake_.notify_one();
  }

 private:
  void work() {
    // Of this thread alone; where it may not, the thread is one like others.
    static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kLowestPriority));
    size_t filled = 0;
    while (true) {
      size_t wanted = 0;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || wanted_ > filled; });
        if (stop_) return;
        wanted = wanted_;
      }
      for (size_t part = 0; part < parts_; ++part)
        fill(part * part_bytes_ + filled, wanted - filled);
      filled = wanted;
    }
  }

  // Contents stay as they are. An older kernel refuses, and fills when a step needs it.
  void fill(size_t begin, size_t bytes) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t first = begin / page * page;
    static_cast<void>(::madvise(map_ + first, begin + bytes - first, MADV_POPULATE_WRITE));
  }

  char* const map_;
  const size_t parts_;
  const size_t part_bytes_;
  const size_t block_bytes_;
  int32_t reached_ = 0;  // fewer blocks need nothing new
  std::mutex mutex_;
  std::condition_variable wake_;
  size_t wanted_ = 0;  // bytes of each part
  bool stop_ = false;
  std::thread thread_;
};

KvStorage::KvStorage(const models::ModelInfo& info, int32_t num_blocks, DType dtype) {
  const auto half = static_cast<size_t>(  // keys or values of a layer
      ops::kv_bytes(dtype, num_blocks, info.kv_heads, info.head_dim));
  bytes_ = half * 2 * static_cast<size_t>(info.layers);
  map_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map_ == MAP_FAILED) {
    throw_error(ErrorCode::kResourceExhausted, "KV cache",
                "could not map {} bytes for {} blocks; lower --num-blocks", bytes_, num_blocks);
  }
  ::madvise(map_, bytes_, MADV_HUGEPAGE);
  char* at = static_cast<char*>(map_);
  filler_ = std::make_unique<Filler>(at, 2 * static_cast<size_t>(info.layers), half, num_blocks);
  for (int64_t i = 0; i < info.layers; ++i) {
    cache_.layers.push_back(
        ops::kv_pages(at, at + half, dtype, num_blocks, info.kv_heads, info.head_dim));
    at += 2 * half;
  }
}

KvStorage::~KvStorage() {
  filler_.reset();
  ::munmap(map_, bytes_);
}

void KvStorage::reach(int32_t blocks) { filler_->reach(blocks); }

}  // namespace hearth::runner
