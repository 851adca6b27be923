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

constexpr int kFormat = 1;
constexpr const char* kStateFile = "state.json";
constexpr const char* kTensorFile = "state.safetensors";

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
  if (const auto format = io::json_require<int>(json, "format", where); format != kFormat) {
    throw_error(ErrorCode::kUnsupported, where, "checkpoint format {}; this program reads {}",
                format, kFormat);
  }
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

std::vector<float> copy_of(const TensorView& flat) {
  const float* begin = flat.as<float>();
  return {begin, begin + flat.shape.count()};
}

void copy_into(const io::TensorMap& tensors, const char* name, const TensorView& flat,
               const std::string& where) {
  const auto it = tensors.find(name);
  const size_t bytes = static_cast<size_t>(flat.shape.count()) * sizeof(float);
  if (it == tensors.end() || it->second.data.size() != bytes) {
    throw_error(ErrorCode::kDataLoss, where, "tensor '{}' is missing or has another size", name);
  }
  std::memcpy(flat.data, it->second.data.data(), bytes);
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
  RunState state;
  std::vector<float> master, first, second;
};

CheckpointWriter::CheckpointWriter(std::string folder, int64_t kept)
    : folder_(std::move(folder)), kept_(kept) {}

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::write(const RunState& state, const Parameters& parameters,
                             const Optimizer& optimizer) {
  finish();
  Snapshot snapshot{state, copy_of(parameters.flat_master()), copy_of(optimizer.first()),
                    copy_of(optimizer.second())};
  thread_ = std::thread([this, snapshot = std::move(snapshot)] {
    try {
      store(snapshot);
      delete_old();
    } catch (...) {
      failure_ = std::current_exception();
    }
  });
}

void CheckpointWriter::finish() {
  if (thread_.joinable()) thread_.join();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void CheckpointWriter::store(const Snapshot& snapshot) const {
  const std::string final_name = folder_ + "/" + folder_name(snapshot.state.step);
  const std::string working = final_name + ".part";
  fs::remove_all(working);
  fs::create_directories(working);
  const auto tensor = [](const char* name, const std::vector<float>& values) {
    return io::TensorToStore{
        name, "F32", {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))};
  };
  const io::TensorToStore tensors[] = {tensor("master", snapshot.master),
                                       tensor("first", snapshot.first),
                                       tensor("second", snapshot.second)};
  const std::string bytes = io::build_safetensors(tensors);
  io::write_file_atomic(working + "/" + kTensorFile, bytes);
  io::Json json = to_json(snapshot.state);
  json["checksum"] = checksum64(std::as_bytes(std::span(bytes)));
  io::write_file_atomic(working + "/" + kStateFile, json.dump(1) + "\n");
  fs::remove_all(final_name);
  fs::rename(working, final_name);
}

void CheckpointWriter::delete_old() const {
  const std::vector<std::string> all = checkpoints_in(folder_);
  for (size_t i = 0; i + static_cast<size_t>(kept_) < all.size(); ++i) fs::remove_all(all[i]);
}

bool load_checkpoint(const std::string& folder, RunState& state, Parameters& parameters,
                     Optimizer& optimizer) {
  std::vector<std::string> all = checkpoints_in(folder);
  for (; !all.empty(); all.pop_back()) {
    const std::string& at = all.back();
    try {
      const io::Json json = io::load_json(at + "/" + kStateFile);
      const io::MappedFile file(at + "/" + kTensorFile);
      if (checksum64(file.bytes()) != io::json_require<uint64_t>(json, "checksum", at)) {
        throw_error(ErrorCode::kDataLoss, at, "checksum does not match");
      }
      const RunState loaded = from_json(json, at);
      if (loaded.layout != layout_of(parameters)) {
        throw_error(ErrorCode::kInvalidArgument, at,
                    "belongs to a model of another shape; choose another run.out");
      }
      const io::TensorMap tensors = io::parse_safetensors(file.bytes(), at);
      copy_into(tensors, "master", parameters.flat_master(), at);
      copy_into(tensors, "first", optimizer.first(), at);
      copy_into(tensors, "second", optimizer.second(), at);
      optimizer.set_steps(loaded.optimizer_steps);
      state = loaded;
      return true;
    } catch (const Error& error) {
      if (error.code == ErrorCode::kInvalidArgument && error.where == at) throw;
      log::warn("checkpoint passed over path={} reason=\"{}\"", at, error.what());
    }
  }
  return false;
}

}  // namespace hearth::train
