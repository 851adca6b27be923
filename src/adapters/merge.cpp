#include "adapters/merge.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

#include "base/error.h"
#include "io/file.h"
#include "io/safetensors.h"

namespace hearth::adapters {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kRowsPerTask = 16;

// Files beside the weights that belong to a checkpoint.
constexpr const char* kCopied[] = {"config.json",
                                   "generation_config.json",
                                   "model.safetensors.index.json",
                                   "tokenizer.json",
                                   "tokenizer.model",
                                   "tokenizer_config.json",
                                   "special_tokens_map.json",
                                   "added_tokens.json",
                                   "vocab.json",
                                   "merges.txt",
                                   "chat_template.jinja",
                                   "chat_template.json",
                                   "LICENSE"};

// row += s · b A: row [in], b [rank].
void add_low_rank(const AdapterModule& module, const float* b, float* row) {
  const int64_t in = module.in();
  for (int64_t r = 0; r < module.rank; ++r) {
    const float factor = module.scale * b[r];
    const float* a = module.a->row<float>(r);
    for (int64_t i = 0; i < in; ++i) row[i] += factor * a[i];
  }
}

void set_length(float* row, int64_t n, float length) {
  double square = 0;
  for (int64_t i = 0; i < n; ++i) square += double{row[i]} * row[i];
  const auto factor = static_cast<float>(length / std::sqrt(std::max(square, 1e-30)));
  for (int64_t i = 0; i < n; ++i) row[i] *= factor;
}

void transpose(const std::vector<float>& from, int64_t rows, int64_t cols, std::vector<float>& to) {
  to.resize(from.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      to[static_cast<size_t>(c * rows + r)] = from[static_cast<size_t>(r * cols + c)];
    }
  }
}

std::vector<float> in_f32(const io::StoredTensor& tensor, const std::string& name) {
  int64_t count = 1;
  for (int64_t dim : tensor.shape) count *= dim;
  std::vector<float> values(static_cast<size_t>(count));
  if (tensor.dtype == "F32") {
    std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
    return values;
  }
  if (tensor.dtype != "BF16" && tensor.dtype != "F16") {
    throw_error(ErrorCode::kUnsupported, tensor.file,
                "tensor '{}' is {}; adapters are merged into F32, F16 and BF16", name,
                tensor.dtype);
  }
  const auto convert = tensor.dtype == "BF16" ? bf16_to_float : f16_to_float;
  const std::byte* at = tensor.data.data();
  for (float& value : values) {
    uint16_t bits = 0;
    std::memcpy(&bits, at, sizeof bits);
    value = convert(bits);
    at += sizeof bits;
  }
  return values;
}

std::vector<std::byte> in_type(const std::vector<float>& values, const std::string& dtype) {
  if (dtype == "F32") {
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
  }
  const auto convert = dtype == "BF16" ? bf16_from_float : f16_from_float;
  std::vector<std::byte> bytes(values.size() * sizeof(uint16_t));
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = convert(values[i]);
    std::memcpy(bytes.data() + i * sizeof bits, &bits, sizeof bits);
  }
  return bytes;
}

class Merger {
 public:
  Merger(const Adapter& adapter, ops::Workers& workers) : adapter_(adapter), workers_(workers) {
    for (const AdapterModule& module : adapter.modules) missing_[module.name] = &module;
  }

  // The file `name` of `base`, with what belongs into it, into `out`.
  void file(io::Folder& base, const std::string& name, const std::string& out) {
    const std::string where = base.where(name);
    const io::TensorMap tensors = io::parse_safetensors(base.bytes(name), where);
    std::vector<std::vector<std::byte>> merged;
    merged.reserve(tensors.size());
    std::vector<io::TensorToStore> stored;
    for (const auto& [tensor_name, tensor] : tensors) {
      io::TensorToStore to{tensor_name, tensor.dtype, tensor.shape, tensor.data};
      if (const AdapterModule* module = take(tensor_name)) {
        merged.push_back(merge(*module, tensor, tensor_name));
        to.data = merged.back();
      }
      stored.push_back(std::move(to));
    }
    // The format allows no gaps: wide elements first keep every tensor aligned.
    std::stable_partition(stored.begin(), stored.end(),
                          [](const auto& tensor) { return tensor.dtype == "F32"; });
    io::write_file_atomic(out + "/" + name, io::build_safetensors(stored, {{"format", "pt"}}));
  }

  void check_all_merged(const std::string& base) const {
    if (missing_.empty()) return;
    throw_error(ErrorCode::kInvalidArgument, base,
                "has no weight of the adapter's module '{}' ({} of {} are missing); is it the base "
                "that the adapter was made for?",
                missing_.begin()->first, missing_.size(), adapter_.modules.size());
  }

 private:
  // The module whose weight this is. Some files leave out the name of the outer module.
  const AdapterModule* take(const std::string& tensor) {
    if (!tensor.ends_with(".weight")) return nullptr;
    const std::string name = tensor.substr(0, tensor.size() - std::string(".weight").size());
    for (auto it = missing_.begin(); it != missing_.end(); ++it) {
      const std::string& module = it->first;
      if (module != name && !module.ends_with("." + name) && !name.ends_with("." + module)) {
        continue;
      }
      const AdapterModule* found = it->second;
      missing_.erase(it);
      return found;
    }
    return nullptr;
  }

  std::vector<std::byte> merge(const AdapterModule& module, const io::StoredTensor& tensor,
                               const std::string& name) {
    std::vector<int64_t> expected = {module.out(), module.in()};
    const bool turned = adapter_.config.fan_in_fan_out;
    if (turned) std::swap(expected[0], expected[1]);
    if (tensor.shape != expected) {
      throw_error(ErrorCode::kInvalidArgument, tensor.file,
                  "tensor '{}' has the shape [{}]; the adapter was made for [{}]", name,
                  fmt::join(tensor.shape, ", "), fmt::join(expected, ", "));
    }
    std::vector<float> values = in_f32(tensor, name);
    if (!turned) {
      merge_module(module, values, workers_);
      return in_type(values, tensor.dtype);
    }
    std::vector<float> rows;
    transpose(values, module.in(), module.out(), rows);
    merge_module(module, rows, workers_);
    transpose(rows, module.out(), module.in(), values);
    return in_type(values, tensor.dtype);
  }

  const Adapter& adapter_;
  ops::Workers& workers_;
  std::map<std::string, const AdapterModule*> missing_;
};

std::vector<std::string> weight_files(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) names.push_back(name);
  }
  if (names.empty()) {
    throw_error(ErrorCode::kNotFound, folder,
                "no model*.safetensors; merging needs the weights of "
                "a Hugging Face directory");
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

void merge_module(const AdapterModule& module, std::span<float> weight, ops::Workers& workers) {
  const int64_t out = module.out();
  const int64_t in = module.in();
  CHECK(std::ssize(weight) == out * in, "{} weights for {} x {}", weight.size(), out, in);
  workers.run((out + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task, int) {
    const int64_t end = std::min(out, (task + 1) * kRowsPerTask);
    for (int64_t j = task * kRowsPerTask; j < end; ++j) {
      float* row = weight.data() + j * in;
      add_low_rank(module, module.b->row<float>(j), row);
      if (!module.magnitude->empty()) set_length(row, in, module.magnitude->as<float>()[j]);
    }
  });
}

void merge_checkpoint(const std::string& base, const Adapter& adapter, const std::string& out,
                      ops::Workers& workers) {
  io::Folder files(base);
  fs::create_directories(out);
  if (fs::equivalent(base, out)) {
    throw_error(ErrorCode::kInvalidArgument, out, "is the base itself; choose another folder");
  }
  Merger merger(adapter, workers);
  for (const std::string& name : weight_files(base)) merger.file(files, name, out);
  merger.check_all_merged(base);
  for (const char* name : kCopied) {
    if (files.has(name)) io::write_file_atomic(out + "/" + name, files.text(name));
  }
}

}  // namespace hearth::adapters
