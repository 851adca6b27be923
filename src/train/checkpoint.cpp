#include "train/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace hearth::train {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 3;
constexpr int kFileFormat = 2;     // a shard is a file, shard-0000.safetensors
constexpr int kOneFileFormat = 1;  // a single rank's, all in state.safetensors
constexpr const char* kStateFile = "state.json";
constexpr const char* kUnfinished = ".part";
constexpr const char* kChunks = "chunks";
constexpr int kWriteThreads = 1;  // beside a training run that has the others
constexpr int kWriteNice = 10;    // of that one: a step does not wait for it
constexpr std::array kPieces = {"master", "first", "second"};
constexpr int64_t kFloat = sizeof(float);

double seconds(Nanos time) { return static_cast<double>(time) / static_cast<double>(kSecond); }

std::string folder_name(int64_t step) { return fmt::format("step-{:08d}", step); }

// Whole checkpoints under `folder`, oldest first.
std::vector<std::string> checkpoints_in(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.find('.') == std::string::npos) {
      found.push_back(entry.path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

io::Json to_json(const RunState& state) {
  return {
      {"format", kFormat},
      {"step", state.step},
      {"epoch", state.position.epoch},
      {"next", state.position.next},
      {"tokens", state.tokens},
      {"optimizer_steps", state.optimizer_steps},
      {"loss_history", state.loss_history},
      {"norm_history", state.norm_history},
      {"data_fingerprint", state.data_fingerprint},
      {"layout", state.layout},
  };
}

RunState from_json(const io::Json& json, const std::string& where) {
  RunState state;
  state.step = io::json_require<int64_t>(json, "step", where);
  state.position.epoch = io::json_require<int64_t>(json, "epoch", where);
  state.position.next = io::json_require<int64_t>(json, "next", where);
  state.tokens = io::json_require<int64_t>(json, "tokens", where);
  state.optimizer_steps = io::json_require<int64_t>(json, "optimizer_steps", where);
  state.loss_history = io::json_require<std::vector<double>>(json, "loss_history", where);
  state.norm_history = io::json_require<std::vector<double>>(json, "norm_history", where);
  state.data_fingerprint = io::json_require<uint64_t>(json, "data_fingerprint", where);
  state.layout = io::json_require<uint64_t>(json, "layout", where);
  return state;
}

std::string shard_name(int rank) { return fmt::format("shard-{:04d}", rank); }

std::string chunks_folder(const std::string& folder, const std::string& shard) {
  return folder + "/" + kChunks + "/" + shard;
}

// What one rank wrote: elements of the flat buffers, laid end to end.
struct ShardFile {
  std::string path;                                 // of a file, or the folder of a store
  uint64_t checksum = 0;                            // of a file
  std::optional<io::ChunkVersion> image;            // in a store
  std::vector<std::pair<int64_t, int64_t>> ranges;  // begin, end
  int64_t elements() const {
    int64_t out = 0;
    for (const auto& [begin, end] : ranges) out += end - begin;
    return out;
  }
};

io::ChunkVersion image_of(const io::Json& shard, const std::string& where) {
  const auto text = io::json_require<std::string>(shard, "image", where);
  io::ChunkVersion version;
  if (!io::parse_chunk_version(text, "", version))
    throw_error(ErrorCode::kDataLoss, where, "image '{}' is no version of a store", text);
  return version;
}

std::vector<ShardFile> shards_of(const io::Json& state, const std::string& at, int64_t elements) {
  const auto format = io::json_require<int>(state, "format", at);
  if (format == kOneFileFormat) {
    const auto checksum = io::json_require<uint64_t>(state, "checksum", at);
    return {{at + "/state.safetensors", checksum, {}, {{0, elements}}}};
  }
  if (format != kFormat && format != kFileFormat) {
    throw_error(ErrorCode::kUnsupported, at, "checkpoint format {}; this program reads {} to {}",
                format, kOneFileFormat, kFormat);
  }
  const std::string folder = fs::path(at).parent_path().string();
  std::vector<ShardFile> shards;
  for (int rank = 0; rank < io::json_require<int>(state, "ranks", at); ++rank) {
    const std::string path = at + "/" + shard_name(rank);
    const io::Json json = io::load_json(path + ".json");
    ShardFile shard;
    shard.ranges = io::json_require<std::vector<std::pair<int64_t, int64_t>>>(json, "ranges", path);
    if (format == kFormat) {
      shard.path = chunks_folder(folder, shard_name(rank));
      shard.image = image_of(json, path);
    } else {
      shard.path = path + ".safetensors";
      shard.checksum = io::json_require<uint64_t>(json, "checksum", path);
    }
    shards.push_back(std::move(shard));
  }
  return shards;
}

void check_coverage(const std::vector<ShardFile>& shards, int64_t elements, const std::string& at) {
  int64_t covered = 0;
  for (const ShardFile& shard : shards) {
    for (const auto& [begin, end] : shard.ranges) {
      if (begin < 0 || end < begin || end > elements) {
        throw_error(ErrorCode::kDataLoss, shard.path, "elements [{}, {}) of {}", begin, end,
                    elements);
      }
      covered += end - begin;
    }
  }
  if (covered != elements) {
    throw_error(ErrorCode::kDataLoss, at, "its shards hold {} of {} elements", covered, elements);
  }
}

void copy(const std::byte* from, const TensorView& to, int64_t at, int64_t count) {
  std::memcpy(to.as<float>() + at, from, static_cast<size_t>(count * kFloat));
}

// Elements [begin, end) of a moment, into what the optimizer keeps of them.
void copy_owned(const std::byte* from, int64_t begin, int64_t end, const Optimizer& optimizer,
                const TensorView& moment) {
  for (const OwnedRange& own : optimizer.owned()) {
    const int64_t first = std::max(begin, own.begin);
    const int64_t last = std::min(end, own.end);
    if (first >= last) continue;
    copy(from + (first - begin) * kFloat, moment, own.local + (first - own.begin), last - first);
  }
}

// Takes the parts of a shard's pieces where they belong, in any order. Parts that do not overlap
// may come from several threads.
class ShardTaker {
 public:
  ShardTaker(const ShardFile& shard, Parameters& parameters, Optimizer& optimizer)
      : shard_(shard), parameters_(parameters), optimizer_(optimizer) {}

  // `piece`: of kPieces; `at`: the first element, in the shard.
  void take(size_t piece, int64_t at, std::span<const std::byte> bytes) const {
    const int64_t end = at + static_cast<int64_t>(bytes.size()) / kFloat;
    int64_t before = 0;  // elements of the shard
    for (const auto& [begin_of, end_of] : shard_.ranges) {
      const int64_t first = std::max(at, before);
      const int64_t last = std::min(end, before + end_of - begin_of);
      if (first < last) {
        const int64_t flat = begin_of + first - before;
        put(piece, flat, flat + last - first, bytes.data() + (first - at) * kFloat);
      }
      before += end_of - begin_of;
    }
  }

 private:
  void put(size_t piece, int64_t begin, int64_t end, const std::byte* from) const {
    if (piece == 0) return copy(from, parameters_.flat_master(), begin, end - begin);
    const TensorView moment = piece == 1 ? optimizer_.first() : optimizer_.second();
    copy_owned(from, begin, end, optimizer_, moment);
  }

  const ShardFile& shard_;
  Parameters& parameters_;
  Optimizer& optimizer_;
};

void load_file(const ShardFile& shard, const ShardTaker& taker) {
  const io::MappedFile file(shard.path);
  if (checksum64(file.bytes()) != shard.checksum)
    throw_error(ErrorCode::kDataLoss, shard.path, "checksum does not match");
  const io::TensorMap tensors = io::parse_safetensors(file.bytes(), shard.path);
  for (size_t piece = 0; piece < kPieces.size(); ++piece) {
    const auto it = tensors.find(kPieces[piece]);
    const auto bytes = static_cast<size_t>(shard.elements() * kFloat);
    if (it == tensors.end() || it->second.data.size() != bytes) {
      throw_error(ErrorCode::kDataLoss, shard.path, "tensor '{}' is missing or has another size",
                  kPieces[piece]);
    }
    taker.take(piece, 0, it->second.data);
  }
}

void load_chunks(const ShardFile& shard, const ShardTaker& taker) {
  const io::ChunkStore store(shard.path, io::chunk_threads());
  const io::ChunkManifest manifest = store.manifest(*shard.image);
  for (size_t piece = 0; piece < kPieces.size(); ++piece) {
    const bool there = piece < manifest.pieces.size() &&
                       manifest.pieces[piece].name == kPieces[piece] &&
                       manifest.pieces[piece].bytes == shard.elements() * kFloat;
    if (there) continue;
    throw_error(ErrorCode::kDataLoss, shard.path + "/" + shard.image->name(),
                "'{}' is missing or has another size", kPieces[piece]);
  }
  store.read(manifest, [&](size_t piece, int64_t offset, std::span<const std::byte> bytes) {
    if (piece < kPieces.size()) taker.take(piece, offset / kFloat, bytes);
  });
}

void load_shard(const ShardFile& shard, Parameters& parameters, Optimizer& optimizer) {
  const ShardTaker taker(shard, parameters, optimizer);
  shard.image ? load_chunks(shard, taker) : load_file(shard, taker);
}

void load_one(const std::string& at, RunState& state, Parameters& parameters,
              Optimizer& optimizer) {
  const io::Json json = io::load_json(at + "/" + kStateFile);
  const int64_t elements = parameters.flat_master().shape.count();
  const std::vector<ShardFile> shards = shards_of(json, at, elements);
  const RunState loaded = from_json(json, at);
  if (loaded.layout != layout_of(parameters)) {
    throw_error(ErrorCode::kInvalidArgument, at,
                "belongs to a model of another shape; choose another run.out");
  }
  check_coverage(shards, elements, at);
  for (const ShardFile& shard : shards) load_shard(shard, parameters, optimizer);
  optimizer.set_steps(loaded.optimizer_steps);
  state = loaded;
}

std::vector<float> owned_master(const Parameters& parameters, const Optimizer& optimizer) {
  const float* master = parameters.flat_master().as<float>();
  std::vector<float> out;
  out.reserve(static_cast<size_t>(optimizer.first().shape.count()));
  for (const OwnedRange& range : optimizer.owned())
    out.insert(out.end(), master + range.begin, master + range.end);
  return out;
}

std::vector<float> copy_of(const TensorView& moment) {
  const float* begin = moment.as<float>();
  return {begin, begin + moment.shape.count()};
}

// Another one than a version that an earlier run left of the same step.
io::ChunkVersion version_for(const io::ChunkStore& store, int64_t step) {
  io::ChunkVersion out{step, 1};
  for (const io::ChunkVersion& known : store.versions()) {
    if (known.major == step) out.minor = std::max(out.minor, known.minor + 1);
  }
  return out;
}

// The versions of stores that checkpoints need, by shard.
std::map<std::string, std::set<io::ChunkVersion>> versions_needed(const std::string& folder) {
  std::map<std::string, std::set<io::ChunkVersion>> out;
  for (const std::string& at : checkpoints_in(folder)) {
    for (const auto& entry : fs::directory_iterator(at)) {
      if (!entry.path().filename().string().starts_with("shard-")) continue;
      if (entry.path().extension() != ".json") continue;
      try {
        const io::Json json = io::load_json(entry.path().string());
        if (json.contains("image"))
          out[entry.path().stem().string()].insert(image_of(json, entry.path().string()));
      } catch (const Error& error) {
        log::warn("a checkpoint is damaged path={} reason=\"{}\"", entry.path().string(),
                  error.what());
      }
    }
  }
  return out;
}

}  // namespace

uint64_t layout_of(const Parameters& parameters) {
  std::string text;
  for (const Parameter& parameter : parameters.list()) {
    for (const ParameterPiece& piece : parameter.pieces) {
      text += fmt::format("{} {} {} {};", piece.name, piece.rows, parameter.cols, parameter.offset);
    }
  }
  return checksum64(std::as_bytes(std::span(text)));
}

struct CheckpointWriter::Snapshot {
  std::vector<float> pieces[kPieces.size()];
  io::Json ranges = io::Json::array();
};

CheckpointWriter::CheckpointWriter(std::string folder, int64_t kept, Collective& ranks,
                                   const Clock& clock)
    : folder_(std::move(folder)), kept_(kept), ranks_(ranks), clock_(clock) {
  if (ranks_.rank() != 0) return;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() == kUnfinished) fs::remove_all(entry.path(), error);
  }
}

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

std::string CheckpointWriter::final_name() const {
  return folder_ + "/" + folder_name(state_.step);
}

std::string CheckpointWriter::working_name() const { return final_name() + kUnfinished; }

std::string CheckpointWriter::what() const {
  return fmt::format("the checkpoint of step {}", state_.step);
}

void CheckpointWriter::write(const RunState& state, const Parameters& parameters,
                             const Optimizer& optimizer) {
  CHECK(!pending_, "the checkpoint of step {} is not settled", state_.step);
  const Nanos begin = clock_.now();
  state_ = state;
  Snapshot snapshot{.pieces = {owned_master(parameters, optimizer), copy_of(optimizer.first()),
                               copy_of(optimizer.second())}};
  int64_t bytes = 0;
  for (const std::vector<float>& piece : snapshot.pieces)
    bytes += static_cast<int64_t>(piece.size()) * kFloat;
  for (const OwnedRange& range : optimizer.owned())
    snapshot.ranges.push_back({range.begin, range.end});
  report_ = {.step = state.step, .stall_seconds = seconds(clock_.now() - begin), .bytes = bytes};
  pending_ = true;
  progress_.store(Progress::kWriting);
  thread_ = std::thread([this, snapshot = std::move(snapshot)] { store(snapshot); });
}

void CheckpointWriter::store(const Snapshot& snapshot) {
  const Nanos begin = clock_.now();
  Progress result = Progress::kWritten;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kWriteNice);
  try {
    fs::create_directories(working_name());
    const io::Json json = {{"image", put_chunks(snapshot)}, {"ranges", snapshot.ranges}};
    io::write_file_atomic(working_name() + "/" + shard_name(ranks_.rank()) + ".json",
                          io::dump_json(json) + "\n");
    if (ranks_.size() == 1) commit();
  } catch (const std::exception& error) {
    report_.failure = error.what();
    result = Progress::kFailed;
  }
  report_.write_seconds = seconds(clock_.now() - begin);
  progress_.store(result);
}

// The name of the version that it became.
std::string CheckpointWriter::put_chunks(const Snapshot& snapshot) {
  const io::ChunkStore store(chunks_folder(folder_, shard_name(ranks_.rank())), kWriteThreads);
  std::vector<io::ChunkPiece> pieces;
  for (size_t i = 0; i < kPieces.size(); ++i) {
    pieces.push_back(
        {kPieces[i], std::as_bytes(std::span(snapshot.pieces[i])), io::Content::kWords});
  }
  const io::ChunkVersion version = version_for(store, state_.step);
  report_.stored = store.put(version, pieces, newest_, io::Durable::kNow).stored;
  newest_ = version;
  return version.name();
}

// All shards are there: the checkpoint becomes whole, and old ones may go.
void CheckpointWriter::commit() {
  for (int rank = 0; rank < ranks_.size(); ++rank) {
    const std::string shard = working_name() + "/" + shard_name(rank) + ".json";
    if (!io::file_exists(shard)) {
      throw_error(ErrorCode::kIo, shard,
                  "rank {} wrote it where this rank does not see it; run.out must be on storage "
                  "that all ranks share",
                  rank);
    }
  }
  io::Json json = to_json(state_);
  json["ranks"] = ranks_.size();
  io::write_file_atomic(working_name() + "/" + kStateFile, json.dump(1) + "\n");
  fs::remove_all(final_name());
  fs::rename(working_name(), final_name());
  io::sync_folder(folder_);
  const std::vector<std::string> all = checkpoints_in(folder_);
  for (size_t i = 0; i + static_cast<size_t>(kept_) < all.size(); ++i) fs::remove_all(all[i]);
  drop_unused_chunks();
}

// Of all ranks: none of them writes while a checkpoint becomes whole.
void CheckpointWriter::drop_unused_chunks() const {
  auto needed = versions_needed(folder_);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_ + "/" + kChunks, error)) {
    const io::ChunkStore store(entry.path().string(), kWriteThreads);
    const std::set<io::ChunkVersion>& stay = needed[entry.path().filename().string()];
    std::set<io::ChunkVersion> unwanted;
    for (const io::ChunkVersion& version : store.versions()) {
      if (!stay.contains(version)) unwanted.insert(version);
    }
    store.remove(unwanted, {INT64_MAX, INT64_MAX});
    if (stay.empty()) fs::remove(entry.path(), error);
  }
}

std::optional<CheckpointReport> CheckpointWriter::poll() {
  if (!pending_) return std::nullopt;
  const double mine[] = {static_cast<double>(progress_.load())};
  bool all_written = true;
  for (const double progress : ranks_.all_gather(mine, what())) {
    if (progress == static_cast<double>(Progress::kWriting)) return std::nullopt;
    all_written = all_written && progress == static_cast<double>(Progress::kWritten);
  }
  return settle(all_written);
}

std::optional<CheckpointReport> CheckpointWriter::finish() {
  if (thread_.joinable()) thread_.join();
  return poll();
}

// Every rank knows that all are done, and whether all have written.
CheckpointReport CheckpointWriter::settle(bool all_written) {
  if (thread_.joinable()) thread_.join();
  pending_ = false;
  if (ranks_.size() > 1 && ranks_.rank() == 0 && all_written) {
    try {
      commit();
    } catch (const std::exception& error) {
      report_.failure = error.what();
    }
  }
  double failures[] = {report_.failure.empty() ? 0.0 : 1.0};
  ranks_.all_reduce(failures, what());
  if (failures[0] > 0 && ranks_.rank() == 0) {
    std::error_code error;
    fs::remove_all(working_name(), error);
  }
  if (failures[0] > 0 && report_.failure.empty()) {
    report_.failure = "another rank could not write its part";
  }
  return report_;
}

bool load_checkpoint(const std::string& folder, RunState& state, Parameters& parameters,
                     Optimizer& optimizer) {
  std::vector<std::string> all = checkpoints_in(folder);
  if (all.empty()) return false;
  for (; !all.empty(); all.pop_back()) {
    const std::string& at = all.back();
    try {
      load_one(at, state, parameters, optimizer);
      return true;
    } catch (const Error& error) {
      if (error.code == ErrorCode::kInvalidArgument && error.where == at) throw;
      log::warn("checkpoint passed over path={} reason=\"{}\"", at, error.what());
    }
  }
  throw_error(ErrorCode::kDataLoss, folder,
              "none of its checkpoints can be read; move the folder away to begin again");
}

}  // namespace hearth::train
