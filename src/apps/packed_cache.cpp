#include "apps/packed_cache.h"

#include <filesystem>
#include <set>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "io/checksum.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "models/packed.h"

namespace hearth::apps {
namespace {

namespace fs = std::filesystem;

// Of each tensor, so much at its beginning, its middle and its end goes into the fingerprint.
constexpr size_t kSampleBytes = 1024;
// Of the source, so much is in memory at once while it is packed.
constexpr int64_t kReleaseBytes = int64_t{128} << 20;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

uint64_t add_file(const std::string& path, uint64_t sum) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return sum;
  const int64_t identity[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                              static_cast<int64_t>(info.st_ino)};
  return io::checksum(std::as_bytes(std::span(identity)), io::checksum(bytes_of(path), sum));
}

uint64_t add_tensor(const std::string& name, const io::StoredTensor& tensor, uint64_t sum) {
  sum = io::checksum(bytes_of(name + " " + tensor.dtype), sum);
  sum = io::checksum(std::as_bytes(std::span(tensor.shape)), sum);
  const size_t size = tensor.data.size(), sample = std::min(size, kSampleBytes);
  for (const size_t at : {size_t{0}, (size - sample) / 2, size - sample}) {
    sum = io::checksum(tensor.data.subspan(at, sample), sum);
  }
  return sum;
}

// What the packed form depends on: every file by its identity, its tensors by samples.
std::string fingerprint(io::FileSource& files) {
  const bool gguf = files.has(io::kGgufFile);
  const io::TensorMap tensors = gguf ? io::load_gguf(files).tensors : io::load_safetensors(files);
  std::set<std::string> paths;
  uint64_t sum = 0;
  for (const auto& [name, tensor] : tensors) {
    sum = add_tensor(name, tensor, sum);
    paths.insert(tensor.file);
  }
  if (!gguf) sum = io::checksum(files.bytes("config.json"), sum);
  for (const std::string& path : paths) sum = add_file(path, sum);
  return fmt::format("{:016x}", sum);
}

std::string cache_path(const ModelSource& source, const models::LoadOptions& options,
                       const std::string& data_dir) {
  const uint64_t where = io::checksum(bytes_of(source.path));
  return fmt::format("{}/packed/{}-{}-{:016x}.safetensors", data_dir, source.name,
                     models::to_string(options.quantize), where);
}

// The cached weights, where they are there, whole and of these files.
std::optional<models::PackedFile> open_cached(const io::MappedFile& file, io::FileSource& source,
                                              int threads) {
  try {
    auto packed = models::PackedFile::open(file.bytes(), file.path(), threads);
    if (packed && packed->source() == fingerprint(source)) return packed;
    log::info("the model's files changed since its weights were packed; packing them again file={}",
              file.path());
  } catch (const Error& error) {
    log::warn("packed weights cannot be used; packing them again error=\"{}\"", error.what());
  }
  return std::nullopt;
}

void keep(const models::Model& model, io::FileSource& files, const std::string& path,
          models::Quantize quantize) {
  try {
    std::error_code ignored;  // writing says what is wrong
    fs::create_directories(fs::path(path).parent_path(), ignored);
    models::write_packed(path, {fingerprint(files), quantize, model.packed, {}});
    log::info("packed weights kept for the next start file={}", path);
  } catch (const Error& error) {
    log::warn("packed weights are not kept, the next start packs them again error=\"{}\"",
              error.what());
  }
}

bool packs(io::FileSource& files, const models::LoadOptions& options) {
  return options.quantize != models::Quantize::kNone ||
         (files.has(io::kGgufFile) && options.compute != ops::ComputeType::kF32);
}

LoadedModel load_packing(ModelSource& source, const models::LoadOptions& options,
                         const std::string& data_dir, const models::Progress& progress) {
  const std::string path = cache_path(source, options, data_dir);
  if (io::file_exists(path)) {
    auto file = std::make_unique<io::MappedFile>(path);
    if (const auto packed = open_cached(*file, *source.files, options.threads)) {
      models::LoadOptions with = options;
      with.packed = &*packed;
      auto model = models::load(*source.files, with, progress);
      return {std::move(file), std::move(model)};
    }
  }
  auto model = models::load(*source.files, options, progress);
  if (!model->packed.empty()) keep(*model, *source.files, path, options.quantize);
  return {nullptr, std::move(model)};
}

// What was packed is not read again: its pages go while the next tensors are packed.
models::Progress releasing(io::FileSource& files, const models::Progress& progress) {
  return [&files, &progress, released = int64_t{0}](int64_t done, int64_t total) mutable {
    if (done - released >= kReleaseBytes || done == total) {
      files.release_pages();
      released = done;
    }
    if (progress) progress(done, total);
  };
}

}  // namespace

LoadedModel load_model(ModelSource& source, const models::LoadOptions& options,
                       const std::string& data_dir, PackedCache cache,
                       const models::Progress& progress) {
  io::FileSource& files = *source.files;
  if (!packs(files, options)) return {nullptr, models::load(files, options, progress)};
  const models::Progress release = releasing(files, progress);
  if (cache == PackedCache::kOff || source.path.empty()) {
    return {nullptr, models::load(files, options, release)};
  }
  LoadedModel loaded = load_packing(source, options, data_dir, release);
  files.release_pages();  // what the fingerprint was made of
  return loaded;
}

}  // namespace hearth::apps
