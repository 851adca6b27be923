#include "models/test_checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/random.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "tensor/dtype.h"

namespace hearth::models {
namespace {

uint64_t fnv(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

uint64_t word(const std::string& name, uint64_t i) { return split_mix(fnv(name) + i); }

// Each step is one f32 operation, as numpy does it.
float element(const std::string& name, uint64_t i, float scale, float shift) {
  const float unit = static_cast<float>(word(name, i) >> 40) * 0x1.0p-23f;
  const float centred = unit - 1.0f;
  const float scaled = centred * scale;
  return scaled + shift;
}

std::string stored(const io::Json& tensor, const std::string& dtype) {
  const auto name = tensor[0].get<std::string>();
  int64_t count = 1;
  for (const io::Json& dim : tensor[1]) count *= dim.get<int64_t>();
  const float scale = tensor[2].get<float>();
  const float shift = tensor[3].get<float>();
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) {
    const float value = element(name, static_cast<uint64_t>(i), scale, shift);
    if (dtype == "f32") {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
      continue;
    }
    const uint16_t bits = dtype == "f16" ? f16_from_float(value) : bf16_from_float(value);
    bytes.append(reinterpret_cast<const char*>(&bits), sizeof(bits));
  }
  return bytes;
}

std::string build_weights(const io::Json& golden) {
  const auto dtype = golden["dtype"].get<std::string>();
  std::string upper = dtype;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::vector<std::string> data;
  for (const io::Json& tensor : golden["tensors"]) data.push_back(stored(tensor, dtype));
  std::vector<io::TensorToStore> tensors;
  for (size_t i = 0; i < data.size(); ++i) {
    const io::Json& tensor = golden["tensors"][i];
    tensors.push_back({tensor[0].get<std::string>(),
                       upper,
                       tensor[1].get<std::vector<int64_t>>(),
                       {reinterpret_cast<const std::byte*>(data[i].data()), data[i].size()}});
  }
  return io::build_safetensors(tensors);
}

io::Json load_cases(const std::string& source_dir) {
  return io::load_json(source_dir + "/tests/golden/families.json");
}

}  // namespace

TestCheckpoint::TestCheckpoint(const io::Json& golden)
    : name_(golden["name"].get<std::string>()),
      golden_(std::make_unique<const io::Json>(golden)),
      config_(io::dump_json(golden["config"])),
      weights_(build_weights(golden)) {}

TestCheckpoint::TestCheckpoint(TestCheckpoint&&) noexcept = default;
TestCheckpoint::~TestCheckpoint() = default;

std::vector<int32_t> TestCheckpoint::tokens() const {
  const io::Json& config = (*golden_)["config"];
  const io::Json& text = config.contains("text_config") ? config["text_config"] : config;
  const auto vocabulary = text["vocab_size"].get<uint64_t>();
  std::vector<int32_t> tokens;
  for (uint64_t i = 0; i < (*golden_)["length"].get<uint64_t>(); ++i) {
    tokens.push_back(static_cast<int32_t>(word(name_, i) % vocabulary));
  }
  return tokens;
}

std::map<int64_t, std::vector<float>> TestCheckpoint::logits() const {
  std::map<int64_t, std::vector<float>> logits;
  for (const auto& [position, row] : (*golden_)["logits"].items()) {
    logits[std::stoll(position)] = row.get<std::vector<float>>();
  }
  return logits;
}

LoadOptions TestCheckpoint::options() const {
  LoadOptions options;
  options.max_model_len = golden_->value("max_model_len", 0);
  options.compute = ops::ComputeType::kF32;
  return options;
}

io::MemoryFiles TestCheckpoint::files() const {
  return io::MemoryFiles(name_, {{"config.json", io::as_bytes(config_)},
                                 {"model.safetensors", io::as_bytes(weights_)}});
}

std::vector<TestCheckpoint> test_checkpoints(const std::string& source_dir) {
  std::vector<TestCheckpoint> checkpoints;
  for (const io::Json& golden : load_cases(source_dir)) checkpoints.emplace_back(golden);
  return checkpoints;
}

TestCheckpoint test_checkpoint(const std::string& source_dir, const std::string& name) {
  for (const io::Json& golden : load_cases(source_dir)) {
    if (golden["name"] == name) return TestCheckpoint(golden);
  }
  CHECK(false, "no golden case '{}'", name);
}

}  // namespace hearth::models
