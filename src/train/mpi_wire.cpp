#include "train/mpi_wire.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>

#include "base/error.h"

namespace hearth::train {
namespace {

constexpr const char* kPlugin = "libhearth_mpi.so";

// The environment of Open MPI's mpirun, and of srun with PMIx.
constexpr const char* kSizeVariables[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK"};

const HearthMpi* load_plugin() {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  std::string tried;
  for (const std::string folder : {".", "../lib/hearth"}) {
    const std::string path = (program.parent_path() / folder / kPlugin).lexically_normal();
    // Open MPI's own plugins look for its symbols in the whole process.
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) {
      tried += (tried.empty() ? "" : "; ") + std::string(::dlerror());
      continue;
    }
    const auto entry = reinterpret_cast<HearthMpiEntry>(::dlsym(library, HEARTH_MPI_ENTRY));
    const HearthMpi* mpi = entry == nullptr ? nullptr : entry();
    if (mpi != nullptr && mpi->version == HEARTH_MPI_VERSION) return mpi;
    throw_error(ErrorCode::kUnsupported, path, "this plugin is of another version of Hearth");
  }
  throw_error(ErrorCode::kUnsupported, "mpirun",
              "training over MPI needs Open MPI 4 (Debian: openmpi-bin) and {}, which ./dev build "
              "makes where libopenmpi-dev is installed; without MPI use hearth train --ranks N "
              "({})",
              kPlugin, tried);
}

}  // namespace

bool started_by_mpi() {
  for (const char* name : kSizeVariables) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

MpiWire::MpiWire(Nanos timeout, const Clock& clock)
    : mpi_(load_plugin()), timeout_(timeout), clock_(clock) {
  char error[512] = {};
  if (mpi_->start(&rank_, &size_, &neighbours_, error, sizeof(error)) != HEARTH_MPI_DONE) {
    throw_error(ErrorCode::kUnavailable, "mpirun", "MPI did not start: {}", error);
  }
  std::vector<RankName> names(static_cast<size_t>(size_));
  names[static_cast<size_t>(rank_)] = this_process();
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    const auto at = static_cast<size_t>(peer);
    out.push_back({peer, std::as_bytes(std::span(&names[static_cast<size_t>(rank_)], 1))});
    in.push_back({peer, std::as_writable_bytes(std::span(&names[at], 1))});
  }
  names_.resize(names.size());
  exchange(out, in, "the start");
  names_ = std::move(names);
}

MpiWire::~MpiWire() {
  if (broken_) {
    mpi_->abort(1);
  } else {
    mpi_->finish();
  }
}

void MpiWire::exchange(std::span<const Outgoing> out, std::span<const Incoming> in,
                       std::string_view what) {
  std::vector<HearthMpiParcel> sends;
  std::vector<HearthMpiParcel> receives;
  for (const Outgoing& parcel : out) {
    sends.push_back({parcel.to, const_cast<std::byte*>(parcel.bytes.data()), parcel.bytes.size()});
  }
  for (const Incoming& parcel : in) {
    receives.push_back({parcel.from, parcel.bytes.data(), parcel.bytes.size()});
  }
  std::vector<unsigned char> missing(names_.size(), 0);
  char error[512] = {};
  const double timeout_s = static_cast<double>(timeout_) / static_cast<double>(kSecond);
  switch (mpi_->exchange(sends.data(), sends.size(), receives.data(), receives.size(), timeout_s,
                         missing.data(), error, sizeof(error))) {
    case HEARTH_MPI_DONE:
      last_ = what;
      heard_ = clock_.now();
      return;
    case HEARTH_MPI_FAILED:
      broken_ = true;
      throw_error(ErrorCode::kUnavailable, "ranks", "MPI failed at {}: {}", what, error);
    case HEARTH_MPI_LATE:
      break;
  }
  broken_ = true;
  std::string late;
  for (size_t peer = 0; peer < missing.size(); ++peer) {
    if (missing[peer] == 0) continue;
    late += fmt::format("{}{} has not arrived at {} for {} s; last heard of {} s ago in {}",
                        late.empty() ? "" : "; ", describe(static_cast<int>(peer), names_[peer]),
                        what, timeout_ / kSecond, (clock_.now() - heard_) / kSecond,
                        last_.empty() ? "the start" : last_);
  }
  throw_error(ErrorCode::kUnavailable, "ranks", "{}", late);
}

}  // namespace hearth::train
