#include "train/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace hearth::train {
namespace {

namespace fs = std::filesystem;

constexpr int kFormat = 2;
constexpr int kOneFileFormat = 1;  // a single rank's, all in state.safetensors
constexpr const char* kStateFile = "state.json";
constexpr const char* kUnfinished = ".part";

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

// What one rank wrote: elements of the flat buffers, laid end to end.
struct ShardFile {
  std::string path;
  uint64_t checksum = 0;
  std::vector<std::pair<int64_t, int64_t>> ranges;  // begin, end
};

std::vector<ShardFile> shards_of(const io::Json& state, const std::string& at, int64_t elements) {
  const auto format = io::json_require<int>(state, "format", at);
  if (format == kOneFileFormat) {
    const auto checksum = io::json_require<uint64_t>(state, "checksum", at);
    return {{at + "/state.safetensors", checksum, {{0, elements}}}};
  }
  if (format != kFormat) {
    throw_error(ErrorCode::kUnsupported, at, "checkpoint format {}; this program reads {} and {}",
                format, kOneFileFormat, kFormat);
  }
  std::vector<ShardFile> shards;
  for (int rank = 0; rank < io::json_require<int>(state, "ranks", at); ++rank) {
    const std::string path = at + "/" + shard_name(rank);
    const io::Json json = io::load_json(path + ".json");
    shards.push_back(
        {path + ".safetensors", io::json_require<uint64_t>(json, "checksum", path),
         io::json_require<std::vector<std::pair<int64_t, int64_t>>>(json, "ranges", path)});
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

// [elements of the shard]
const float* tensor_of(const io::TensorMap& tensors, const char* name, int64_t elements,
                       const std::string& where) {
  const auto it = tensors.find(name);
  if (it == tensors.end() ||
      it->second.data.size() != static_cast<size_t>(elements) * sizeof(float)) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' is missing or has another size", name);
  }
  return reinterpret_cast<const float*>(it->second.data.data());
}

void copy(const float* from, const TensorView& to, int64_t at, int64_t count) {
  std::memcpy(to.as<float>() + at, from, static_cast<size_t>(count) * sizeof(float));
}

// Elements [begin, end) of a moment, into what the optimizer keeps of them.
void copy_owned(const float* from, int64_t begin, int64_t end, const Optimizer& optimizer,
                const TensorView& moment) {
  for (const OwnedRange& own : optimizer.owned()) {
    const int64_t first = std::max(begin, own.begin);
    const int64_t last = std::min(end, own.end);
    if (first < last) {
      copy(from + (first - begin), moment, own.local + (first - own.begin), last - first);
    }
  }
}

void load_shard(const ShardFile& shard, Parameters& parameters, Optimizer& optimizer) {
  const io::MappedFile file(shard.path);
  if (checksum64(file.bytes()) != shard.checksum) {
    throw_error(ErrorCode::kDataLoss, shard.path, "checksum does not match");
  }
  const io::TensorMap tensors = io::parse_safetensors(file.bytes(), shard.path);
  int64_t elements = 0;
  for (const auto& [begin, end] : shard.ranges) elements += end - begin;
  const float* master = tensor_of(tensors, "master", elements, shard.path);
  const float* first = tensor_of(tensors, "first", elements, shard.path);
  const float* second = tensor_of(tensors, "second", elements, shard.path);
  int64_t at = 0;
  for (const auto& [begin, end] : shard.ranges) {
    copy(master + at, parameters.flat_master(), begin, end - begin);
    copy_owned(first + at, begin, end, optimizer, optimizer.first());
    copy_owned(second + at, begin, end, optimizer, optimizer.second());
    at += end - begin;
  }
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

// What is owned of the master weights, end to end; `buffer` where that takes a copy.
std::span<const float> owned_master(const Parameters& parameters, const Optimizer& optimizer,
                                    std::vector<float>& buffer) {
  const float* master = parameters.flat_master().as<float>();
  const std::vector<OwnedRange>& owned = optimizer.owned();
  if (owned.size() == 1) {
    return {master + owned[0].begin, static_cast<size_t>(owned[0].count())};
  }
  buffer.reserve(static_cast<size_t>(optimizer.first().shape.count()));
  for (const OwnedRange& range : owned) {
    buffer.insert(buffer.end(), master + range.begin, master + range.end);
  }
  return buffer;
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
  std::string file;  // the shard, as it will be on disk
  io::Json ranges;
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
  Snapshot snapshot;
  std::vector<float> buffer;
  const std::span<const float> master = owned_master(parameters, optimizer, buffer);
  const auto tensor = [](const char* name, std::span<const float> values) {
    return io::TensorToStore{
        name, "F32", {static_cast<int64_t>(values.size())}, std::as_bytes(values)};
  };
  const auto flat = [](const TensorView& moment) {
    return std::span<const float>(moment.as<float>(), static_cast<size_t>(moment.shape.count()));
  };
  const io::TensorToStore tensors[] = {tensor("master", master),
                                       tensor("first", flat(optimizer.first())),
                                       tensor("second", flat(optimizer.second()))};
  snapshot.file = io::build_safetensors(tensors);
  snapshot.ranges = io::Json::array();
  for (const OwnedRange& range : optimizer.owned()) {
    snapshot.ranges.push_back({range.begin, range.end});
  }
  report_ = {.step = state.step,
             .stall_seconds = seconds(clock_.now() - begin),
             .bytes = static_cast<int64_t>(snapshot.file.size())};
  pending_ = true;
  progress_.store(Progress::kWriting);
  thread_ = std::thread([this, snapshot = std::move(snapshot)] { store(snapshot); });
}

void CheckpointWriter::store(const Snapshot& snapshot) {
  const Nanos begin = clock_.now();
  Progress result = Progress::kWritten;
  try {
    const std::string path = working_name() + "/" + shard_name(ranks_.rank());
    fs::create_directories(working_name());
    io::write_file_atomic(path + ".safetensors", snapshot.file);
    const io::Json json = {{"checksum", checksum64(std::as_bytes(std::span(snapshot.file)))},
                           {"ranges", snapshot.ranges}};
    io::write_file_atomic(path + ".json", io::dump_json(json) + "\n");
    if (ranks_.size() == 1) commit();
  } catch (const std::exception& error) {
    report_.failure = error.what();
    result = Progress::kFailed;
  }
  report_.write_seconds = seconds(clock_.now() - begin);
  progress_.store(result);
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
