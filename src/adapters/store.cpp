#include "adapters/store.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "io/file_source.h"

namespace hearth::adapters {
namespace {

namespace fs = std::filesystem;

// What a file was when it was checked. Weights that are replaced under a running server would
// change answers, and a map of a file that was cut short cannot be read.
struct FileStamp {
  uintmax_t bytes = 0;
  fs::file_time_type written;
  bool operator==(const FileStamp&) const = default;
};

FileStamp stamp_of(const std::string& path) {
  std::error_code error;
  FileStamp stamp;
  stamp.bytes = fs::file_size(path, error);
  if (!error) stamp.written = fs::last_write_time(path, error);
  if (error) throw_error(ErrorCode::kNotFound, path, "cannot be read: {}", error.message());
  return stamp;
}

// An adapter's files in memory maps, and where its parts belong.
struct Opened {
  explicit Opened(const std::string& folder) : files(folder) {}
  io::Folder files;
  StoredAdapter stored;
  std::vector<BoundPart> parts;
};

struct Entry {
  std::string folder;
  FileStamp stamp;
  std::shared_ptr<const Opened> opened;                // mapped
  std::list<int32_t>::iterator recent;                 // while mapped
  std::shared_ptr<const std::vector<DoraGain>> gains;  // once known
  std::shared_ptr<const PackedAdapter> packed;
};

int32_t page_count(int64_t memory_bytes, int64_t page_bytes) {
  const int64_t pages = memory_bytes / page_bytes;
  return static_cast<int32_t>(std::min<int64_t>(pages, std::numeric_limits<int32_t>::max()));
}

}  // namespace

struct AdapterStore::Impl {
  struct Load {
    int32_t id = 0;
    std::vector<int32_t> pages;
  };

  const StoreOptions options;
  const ProjectionIndex index;
  const PageMemory memory;

  std::mutex tell_mutex;
  Loaded told;  // guarded by tell_mutex, also while it is called

  mutable std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::map<int32_t, Entry> entries;  // guarded by mutex, as all below
  std::list<int32_t> recent;         // mapped, least recently used first
  std::deque<Load> loads;
  int32_t unfinished = 0;  // loads
  bool stopping = false;
  std::thread thread;

  Impl(std::span<const nn::Projection> projections, const StoreOptions& given)
      : options(given),
        index(projections),
        memory(page_count(given.memory_bytes, page_bytes_for(projections)),
               page_bytes_for(projections)),
        thread([this] { work(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    thread.join();
  }

  std::shared_ptr<const Opened> open_folder(const std::string& folder) const {
    auto opened = std::make_shared<Opened>(folder);
    opened->stored = open_adapter(opened->files, options.limits);
    opened->parts = index.bind(opened->stored, opened->files.where(kAdapterWeightsFile));
    return opened;
  }

  // The mutex is held.
  void keep_mapped(int32_t id, Entry& entry, std::shared_ptr<const Opened> opened) {
    if (entry.opened) recent.erase(entry.recent);
    entry.opened = std::move(opened);
    entry.recent = recent.insert(recent.end(), id);
    while (std::ssize(recent) > std::max(options.mapped_max, 1)) {
      entries.at(recent.front()).opened.reset();
      recent.pop_front();
    }
  }

  void work() {
    for (;;) {
      Load load;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [this] { return stopping || !loads.empty(); });
        if (stopping) return;
        load = std::move(loads.front());
        loads.pop_front();
      }
      std::string error;
      try {
        run(load);
      } catch (const Error& failure) {
        error = failure.where + ": " + failure.text;
      } catch (const std::exception& failure) {
        error = failure.what();
      }
      {
        const std::lock_guard lock(tell_mutex);
        if (told) told(load.id, error);
      }
      const std::lock_guard lock(mutex);
      if (--unfinished == 0) done.notify_all();
    }
  }

  void run(const Load& load) {
    Entry known;  // a copy: the lock is not held over the work
    {
      const std::lock_guard lock(mutex);
      known = entries.at(load.id);
    }
    check_unchanged(known);
    auto opened = known.opened ? known.opened : open_folder(known.folder);
    auto gains = known.gains ? known.gains : gains_of(*opened);
    auto packed = std::make_shared<PackedAdapter>(
        pack(opened->parts, index.projections(), *gains, options.dtype, load.pages, memory));
    const std::lock_guard lock(mutex);
    Entry& entry = entries.at(load.id);
    entry.gains = std::move(gains);
    entry.packed = std::move(packed);
    keep_mapped(load.id, entry, std::move(opened));
  }

  static void check_unchanged(const Entry& entry) {
    const std::string path = entry.folder + "/" + kAdapterWeightsFile;
    if (stamp_of(path) == entry.stamp) return;
    throw_error(ErrorCode::kDataLoss, path,
                "the file has changed since the adapter was loaded; unload the adapter and load it "
                "again");
  }

  std::shared_ptr<const std::vector<DoraGain>> gains_of(const Opened& opened) const {
    auto gains = std::make_shared<std::vector<DoraGain>>(opened.parts.size());
    for (size_t i = 0; i < opened.parts.size(); ++i) {
      const BoundPart& part = opened.parts[i];
      if (part.module->magnitude.empty()) continue;
      (*gains)[i] = dora_gain(part, index.projections()[static_cast<size_t>(part.slot)]);
    }
    return gains;
  }
};

AdapterStore::AdapterStore(std::span<const nn::Projection> projections, const StoreOptions& options)
    : impl_(std::make_unique<Impl>(projections, options)) {}

AdapterStore::~AdapterStore() = default;

void AdapterStore::tell(Loaded loaded) {
  const std::lock_guard lock(impl_->tell_mutex);
  impl_->told = std::move(loaded);
}
int32_t AdapterStore::pages() const { return impl_->memory.pages(); }
int64_t AdapterStore::page_bytes() const { return impl_->memory.page_bytes(); }

AdapterFacts AdapterStore::open(int32_t id, const std::string& folder) {
  const FileStamp stamp = stamp_of(folder + "/" + kAdapterWeightsFile);
  auto opened = impl_->open_folder(folder);
  check_finite(opened->stored, opened->files.where(kAdapterWeightsFile));
  AdapterFacts facts;
  facts.pages = pages_for(opened->parts, impl_->options.dtype, page_bytes());
  if (facts.pages > pages()) {
    throw_error(ErrorCode::kTooLarge, folder,
                "the adapter takes {} bytes in memory, --adapter-memory has {}",
                facts.pages * page_bytes(), pages() * page_bytes());
  }
  for (const StoredModule& module : opened->stored.modules) {
    facts.parameters += module.a.shape.count() + module.b.shape.count();
    if (!module.magnitude.empty()) facts.parameters += module.magnitude.shape.count();
    facts.rank = std::max(facts.rank, module.rank);
  }
  facts.bytes = static_cast<int64_t>(stamp.bytes);
  facts.modules = std::ssize(opened->stored.modules);
  facts.base_model = opened->stored.config.base_model;
  const std::lock_guard lock(impl_->mutex);
  const auto [where, inserted] = impl_->entries.try_emplace(id);
  CHECK(inserted, "adapter {} is open already", id);
  where->second.folder = folder;
  where->second.stamp = stamp;
  impl_->keep_mapped(id, where->second, std::move(opened));
  return facts;
}

void AdapterStore::close(int32_t id) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->entries.find(id);
  CHECK(found != impl_->entries.end() && !found->second.packed, "adapter {} cannot be closed", id);
  if (found->second.opened) impl_->recent.erase(found->second.recent);
  impl_->entries.erase(found);
}

void AdapterStore::load(int32_t id, std::vector<int32_t> pages) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->loads.push_back({id, std::move(pages)});
    ++impl_->unfinished;
  }
  impl_->wake.notify_one();
}

void AdapterStore::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->done.wait(lock, [this] { return impl_->unfinished == 0; });
}

void AdapterStore::evict(int32_t id) {
  const std::lock_guard lock(impl_->mutex);
  impl_->entries.at(id).packed.reset();
}

std::shared_ptr<const PackedAdapter> AdapterStore::packed(int32_t id) const {
  const std::lock_guard lock(impl_->mutex);
  const auto& packed = impl_->entries.at(id).packed;
  CHECK(packed != nullptr, "adapter {} is in the plan and not in memory", id);
  return packed;
}

Tier AdapterStore::tier_of(int32_t id) const {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->entries.find(id);
  if (found == impl_->entries.end()) return Tier::kStored;
  return found->second.packed   ? Tier::kPacked
         : found->second.opened ? Tier::kMapped
                                : Tier::kStored;
}

StoreTiers AdapterStore::tiers() const {
  const std::lock_guard lock(impl_->mutex);
  StoreTiers tiers;
  for (const auto& [id, entry] : impl_->entries) {
    ++(entry.packed ? tiers.packed : entry.opened ? tiers.mapped : tiers.stored);
  }
  return tiers;
}

}  // namespace hearth::adapters
