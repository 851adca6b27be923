#include "adapters/peft.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "tensor/random_tensor.h"

namespace hearth::adapters {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

AdapterModule random_module(Random& random, const std::string& name, int64_t out, int64_t rank,
                            int64_t in) {
  AdapterModule module;
  module.name = name;
  module.rank = rank;
  module.a = random_tensor(random, {rank, in});
  module.b = random_tensor(random, {out, rank});
  return module;
}

class Scratch {
 public:
  Scratch()
      : path_(std::filesystem::temp_directory_path() /
              ("hearth_peft_test_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void expect_equal(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a->shape, b->shape);
  EXPECT_EQ(std::memcmp(a->data, b->data, static_cast<size_t>(a->shape.count()) * 4), 0);
}

TEST(Peft, WhatIsSavedIsLoaded) {
  Random random(1);
  Adapter adapter;
  adapter.config.r = 3;
  adapter.config.lora_alpha = 6;
  adapter.config.use_dora = true;
  adapter.config.target_modules.names = {"q_proj", "v_proj"};
  adapter.config.rank_pattern = {{"v_proj", 2}};
  adapter.modules.push_back(random_module(random, "model.layers.0.self_attn.q_proj", 8, 3, 4));
  adapter.modules.push_back(random_module(random, "model.layers.0.self_attn.v_proj", 6, 2, 4));
  for (AdapterModule& module : adapter.modules) {
    module.magnitude = random_tensor(random, {module.out()});
  }
  const Scratch scratch;
  save_adapter(scratch.path(), adapter);
  io::Folder files(scratch.path());
  const Adapter loaded = load_adapter(files);
  ASSERT_EQ(loaded.modules.size(), 2u);
  EXPECT_EQ(loaded.parameters(), 3 * 4 + 8 * 3 + 8 + 2 * 4 + 6 * 2 + 6);
  EXPECT_EQ(loaded.modules[0].scale, 2.0f);
  EXPECT_EQ(loaded.modules[1].scale, 3.0f);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(loaded.modules[i].name, adapter.modules[i].name);
    expect_equal(loaded.modules[i].a, adapter.modules[i].a);
    expect_equal(loaded.modules[i].b, adapter.modules[i].b);
    expect_equal(loaded.modules[i].magnitude, adapter.modules[i].magnitude);
  }
  save_adapter(scratch.path(), adapter, DType::kBF16);
  io::Folder narrow(scratch.path());
  const float exact = adapter.modules[0].a->as<float>()[0];
  EXPECT_EQ(load_adapter(narrow).modules[0].a->as<float>()[0],
            bf16_to_float(bf16_from_float(exact)));
}

// Tensors of zeros for an adapter file: name, shape.
struct Entry {
  std::string name;
  std::vector<int64_t> shape;
  std::string dtype = "F32";
};

std::string weights_of(const std::vector<Entry>& entries, float value = 0) {
  std::vector<std::vector<float>> memory;
  std::vector<io::TensorToStore> tensors;
  memory.reserve(entries.size());
  for (const Entry& entry : entries) {
    size_t count = 1;
    for (int64_t dim : entry.shape) count *= static_cast<size_t>(dim);
    const auto& values = memory.emplace_back(count, value);
    tensors.push_back({entry.name, entry.dtype, entry.shape, std::as_bytes(std::span(values))});
  }
  return io::build_safetensors(tensors);
}

const std::string kQ = "base_model.model.l.q";

std::string error_of(const std::string& config, const std::string& weights,
                     const AdapterLimits& limits = {}) {
  io::MemoryFiles files(
      "up", {{kAdapterConfigFile, bytes_of(config)}, {kAdapterWeightsFile, bytes_of(weights)}});
  try {
    load_adapter(files, limits);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Peft, NamesWhatDoesNotFit) {
  const std::string plain = R"({"peft_type":"LORA","r":2})";
  const std::string dora = R"({"peft_type":"LORA","r":2,"use_dora":true})";
  const Entry a = {kQ + ".lora_A.weight", {2, 4}};
  const Entry b = {kQ + ".lora_B.weight", {6, 2}};
  const Entry m = {kQ + ".lora_magnitude_vector", {6}};
  const auto expect = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  EXPECT_EQ(error_of(plain, weights_of({a, b})), "no error");
  EXPECT_EQ(error_of(dora, weights_of({a, b, m})), "no error");
  expect(error_of(plain, weights_of({a})), "l.q.lora_B.weight' is missing");
  expect(error_of(plain, weights_of({b})), "l.q.lora_A.weight' is missing");
  expect(error_of(dora, weights_of({a, b})), "lora_magnitude_vector' is missing");
  expect(error_of(plain, weights_of({a, b, m})), "use_dora false");
  expect(error_of(dora, weights_of({a, b, {m.name, {7}}})), "has the shape [7]");
  expect(error_of(plain, weights_of({a, {b.name, {6, 3}}})), "must share the rank 2");
  expect(error_of(plain, weights_of({{a.name, {4}}, b})), "expected a matrix");
  expect(error_of(plain, weights_of({{a.name, {2, 0}}, b})), "expected a matrix");
  expect(error_of(plain, weights_of({{a.name, {2, 4}, "I32"}, b})), "is I32");
  expect(error_of(plain, weights_of({a, b}, INFINITY)), "not finite");
  expect(error_of(plain, weights_of({a, b, {"lm_head.weight", {1}}})), "no low-rank part");
  expect(error_of(plain, weights_of({{"base_model.model.lora_A.weight", {2, 4}}})), "no low-rank");
  expect(error_of(plain, weights_of({a, b, {kQ + ".lora_embedding_A", {2, 4}}})), "no low-rank");
  expect(error_of(plain, weights_of({a, b, {kQ + ".lora_A.default.weight", {2, 4}}})), "twice");
  expect(error_of(plain, weights_of({})), "no tensors");
  expect(error_of(plain, weights_of({a, b}), {.bytes_max = 10}), "over the limit of 10");
  expect(error_of(plain, weights_of({a, b}), {.modules_max = 0}), "more than 0 modules");
  expect(error_of(plain, "short"), "too few");
}

TEST(Peft, PickledWeightsAreNamed) {
  const std::string config = R"({"peft_type":"LORA"})";
  io::MemoryFiles files(
      "up", {{kAdapterConfigFile, bytes_of(config)}, {"adapter_model.bin", bytes_of(config)}});
  EXPECT_THROW(load_adapter(files), Error);
}

// Adapters that PEFT itself wrote. They are not in the repository.
TEST(Peft, AdaptersFromTheWild) {
  const char* shared = std::getenv("HEARTH_SHARED");
  if (shared == nullptr) GTEST_SKIP() << "HEARTH_SHARED is not set: no adapters to read";
  struct Wild {
    const char* folder;
    size_t modules;
    int64_t parameters;
    float scale;
  };
  const Wild cases[] = {{"lora/qwen2.5-0.5b-instruct-r8-qv", 48, 540672, 2},
                        {"lora/gpt2-tigrinya-r8-cattn-cproj", 36, 811008, 4},
                        {"lora/gemma3-270m-it-r8-qv", 36, 368640, 4},
                        {"tiny/stories15M-lora-r8", 18, 105984, 2}};
  for (const Wild& wild : cases) {
    io::Folder files(std::string(shared) + "/data/" + wild.folder);
    const Adapter adapter = load_adapter(files);
    EXPECT_EQ(adapter.modules.size(), wild.modules) << wild.folder;
    EXPECT_EQ(adapter.parameters(), wild.parameters) << wild.folder;
    for (const AdapterModule& module : adapter.modules) {
      EXPECT_EQ(module.scale, wild.scale) << module.name;
      EXPECT_EQ(module.rank, 8) << module.name;
    }
    // Written again, the tensors have the names and shapes that PEFT gave them.
    const Scratch scratch;
    save_adapter(scratch.path(), adapter);
    io::Folder again(scratch.path());
    const auto theirs = io::parse_safetensors(files.bytes(kAdapterWeightsFile), "theirs");
    const auto ours = io::parse_safetensors(again.bytes(kAdapterWeightsFile), "ours");
    ASSERT_EQ(ours.size(), theirs.size());
    for (const auto& [name, tensor] : theirs) {
      ASSERT_TRUE(ours.contains(name)) << name;
      EXPECT_EQ(ours.at(name).shape, tensor.shape) << name;
    }
  }
}

}  // namespace
}  // namespace hearth::adapters
