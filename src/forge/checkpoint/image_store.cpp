#include "forge/checkpoint/image_store.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;
using io::ChunkManifest;
using io::ChunkVersion;

constexpr size_t kImagesKept = 3;  // of a job: its server may not have heard of the newest yet

// The newest one that can be read, older than `version`.
std::optional<ChunkVersion> base_of(const io::ChunkStore& store, const ChunkVersion& version) {
  std::vector<ChunkVersion> images = store.versions();
  for (; !images.empty(); images.pop_back()) {
    if (images.back() >= version) continue;
    try {
      store.manifest(images.back());
      return images.back();
    } catch (const Error& error) {
      log::warn("image passed over as a base image={} reason=\"{}\"", images.back().name(),
                error.what());
    }
  }
  return std::nullopt;
}

// Only what is older than `newest`: another process may be writing a newer one.
void drop_old(const io::ChunkStore& store, const ChunkVersion& newest) {
  const std::vector<ChunkVersion> images = store.versions();
  std::set<ChunkVersion> unwanted;
  for (size_t left = images.size(); const ChunkVersion& image : images) {
    if (left-- > kImagesKept && image < newest) unwanted.insert(image);
  }
  store.remove(unwanted, newest);
}

// The files of an image, made with the sizes that they will have.
class Files {
 public:
  Files(const std::string& folder, const ChunkManifest& manifest) {
    for (const io::StoredPiece& piece : manifest.pieces) {
      paths_.push_back(folder + "/" + piece.name);
      const int fd = open(paths_.back().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      if (fd < 0) fail(paths_.size() - 1, "made");
      descriptors_.push_back(fd);
      if (ftruncate(fd, piece.bytes) != 0) fail(paths_.size() - 1, "made");
    }
  }
  ~Files() {
    for (const int fd : descriptors_) close(fd);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  void write(size_t file, int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(descriptors_[file], bytes.data(), bytes.size(), offset);
      if (n <= 0) fail(file, "written");
      bytes = bytes.subspan(static_cast<size_t>(n)), offset += n;
    }
  }

 private:
  [[noreturn]] void fail(size_t file, const char* what) const {
    throw_error(ErrorCode::kIo, paths_[file], "cannot be {}: {}", what, std::strerror(errno));
  }

  std::vector<std::string> paths_;
  std::vector<int> descriptors_;
};

}  // namespace

std::string ImageStore::job_folder(JobId job) const { return fmt::format("{}/{}", folder_, job); }

io::ChunkReport ImageStore::pack(JobId job, Epoch epoch, int32_t number, const std::string& from,
                                 io::Durable durable) const {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<io::MappedFile> files;
  std::vector<io::ChunkPiece> pieces;
  for (const fs::path& path : paths) {
    files.emplace_back(path.string());
    pieces.push_back({path.filename().string(), files.back().bytes()});
  }
  const io::ChunkStore images = store(job);
  const ChunkVersion version{epoch, number};
  const io::ChunkReport report = images.put(version, pieces, base_of(images, version), durable);
  drop_old(images, version);
  return report;
}

void ImageStore::settle(JobId job, Epoch epoch, int32_t number) const {
  try {
    store(job).settle({epoch, number});
  } catch (const Error& error) {
    if (error.code != ErrorCode::kNotFound) throw;
  }
}

void ImageStore::unpack(JobId job, Epoch epoch, int32_t number, const std::string& to) const {
  const ChunkVersion version{epoch, number};
  const io::ChunkStore images = store(job);
  const std::vector<ChunkVersion> known = images.versions();
  if (std::find(known.begin(), known.end(), version) == known.end()) {
    throw_error(ErrorCode::kNotFound, job_folder(job),
                "there is no image {}: give the agents of all nodes the same --images, on storage "
                "that they share",
                version.name());
  }
  const ChunkManifest manifest = images.manifest(version);
  const Files files(to, manifest);
  images.read(manifest, [&](size_t piece, int64_t offset, std::span<const std::byte> bytes) {
    files.write(piece, offset, bytes);
  });
}

ChunkVersion ImageStore::discard(JobId job, Epoch epoch, int32_t number) const {
  const ChunkVersion damaged{epoch, number};
  const io::ChunkStore images = store(job);
  images.remove({damaged}, damaged);
  ChunkVersion before;
  for (const ChunkVersion& image : images.versions()) {
    if (image < damaged) before = image;
  }
  return before;
}

void ImageStore::forget(JobId job) const {
  std::error_code ignored;
  fs::remove_all(job_folder(job), ignored);
}

std::vector<JobId> ImageStore::jobs() const {
  std::vector<JobId> out;
  std::error_code absent;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, absent)) {
    const std::string name = entry.path().filename().string();
    const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    if (number && entry.is_directory(absent)) out.push_back(std::atoi(name.c_str()));
  }
  return out;
}

}  // namespace hearth::forge
