// Adapters on their way from folders into pages: what is bound to which projection, what is refused
// and how it is said, and what stands in memory in the end.
#include "adapters/store.h"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <unistd.h>

#include "adapters/peft.h"
#include "base/error.h"
#include "tensor/random_tensor.h"

namespace hearth::adapters {
namespace {

namespace fs = std::filesystem;

// Projections without a model: a plain one, a fused one, and one whose outputs stand in another
// order than in the checkpoint.
class Base {
 public:
  Base() {
    Random random(1);
    for (const auto& [name, out] : {std::pair<const char*, int64_t>{"o_proj", 24},
                                    {"qkv_proj", 48},
                                    {"query_key_value", 6}}) {
      weights_.push_back(random_tensor(random, {out, 16}));
      nn::Projection& projection = projections.emplace_back();
      projection.name = std::string("model.layers.0.self_attn.") + name;
      projection.out = out;
      projection.in = 16;
      projection.weight = ops::weight_view(weights_.back());
    }
    projections[1].parts = {{"model.layers.0.self_attn.q_proj", 0, 32},
                            {"model.layers.0.self_attn.k_proj", 32, 40}};
    projections[2].order = {4, 5, 2, 3, 0, 1};
  }

  std::vector<nn::Projection> projections;

 private:
  std::vector<Tensor> weights_;
};

AdapterModule module(const std::string& name, int64_t out, int64_t rank = 4, int64_t in = 16) {
  Random random(static_cast<uint64_t>(out + rank));
  AdapterModule m;
  m.name = name;
  m.rank = rank;
  m.scale = 2;
  m.a = random_tensor(random, {rank, in});
  m.b = random_tensor(random, {out, rank});
  return m;
}

template <typename... Modules>
std::vector<AdapterModule> all(Modules... modules) {
  std::vector<AdapterModule> list;
  (list.push_back(std::move(modules)), ...);
  return list;
}

constexpr const char* kOut = "model.layers.0.self_attn.o_proj";
constexpr const char* kQkv = "model.layers.0.self_attn.qkv_proj";
constexpr const char* kQuery = "model.layers.0.self_attn.q_proj";
constexpr const char* kOrdered = "model.layers.0.self_attn.query_key_value";

class Folders {
 public:
  Folders() : path_(fs::temp_directory_path() / ("hearth_store_" + std::to_string(::getpid()))) {}
  ~Folders() { fs::remove_all(path_); }

  // A folder with an adapter of these modules, all of one rank.
  std::string put(const std::string& name, std::vector<AdapterModule> modules,
                  DType dtype = DType::kF32) const {
    Adapter adapter;
    adapter.config.r = modules.at(0).rank;
    adapter.config.lora_alpha = 2.0 * static_cast<double>(adapter.config.r);
    adapter.config.target_modules.names = {"o_proj"};
    adapter.config.use_dora = !modules.at(0).magnitude->empty();
    adapter.modules = std::move(modules);
    const std::string folder = (path_ / name).string();
    fs::create_directories(folder);
    save_adapter(folder, adapter, dtype);
    return folder;
  }

 private:
  fs::path path_;
};

std::string refusal(AdapterStore& store, const std::string& folder) {
  try {
    store.open(99, folder);
  } catch (const Error& error) {
    return error.text;
  }
  return "taken";
}

// Loads into the first pages; the error, if there is one.
std::string load(AdapterStore& store, int32_t id, int32_t pages) {
  std::vector<int32_t> all;
  for (int32_t page = 0; page < pages; ++page) all.push_back(page);
  std::string told = "nobody was told";
  store.tell([&](int32_t, const std::string& error) { told = error; });
  store.load(id, all);
  store.wait();
  return told;
}

TEST(AdapterStore, WhatIsPackedIsWhatTheFileHolds) {
  const Base base;
  const Folders folders;
  for (DType dtype : {DType::kF32, DType::kBF16}) {
    const AdapterModule ordered = module(kOrdered, 6);
    const std::string folder = folders.put("a", all(module(kOut, 24), module(kOrdered, 6)), dtype);
    AdapterStore store(base.projections, {.memory_bytes = 1 << 20, .dtype = DType::kF32});
    const AdapterFacts facts = store.open(1, folder);
    EXPECT_EQ(facts.parameters, 4 * (16 + 24) + 4 * (16 + 6));
    EXPECT_EQ(facts.rank, 4);
    ASSERT_EQ(load(store, 1, facts.pages), "");
    const auto packed = store.packed(1);
    EXPECT_TRUE(packed->parts(1).empty());
    ASSERT_EQ(packed->parts(2).size(), 1u);
    const ops::LoraPart& part = packed->parts(2)[0];
    EXPECT_EQ(part.scale, 2.0f);
    const auto rounded = [&](float value) {
      return dtype == DType::kF32 ? value : bf16_to_float(bf16_from_float(value));
    };
    for (int64_t k = 0; k < 4; ++k) {
      const auto* a = static_cast<const float*>(part.a[k]);
      const auto* b = static_cast<const float*>(part.b[k]);
      for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(a[i], rounded(ordered.a->row<float>(k)[i]));
      for (int64_t o = 0; o < 6; ++o) {
        const int64_t source = base.projections[2].order[static_cast<size_t>(o)];
        EXPECT_EQ(b[o], rounded(ordered.b->row<float>(source)[k]));
      }
    }
  }
}

TEST(AdapterStore, PartsOfAFusedProjectionJoinTheirOutputs) {
  const Base base;
  const Folders folders;
  AdapterStore store(base.projections, {.memory_bytes = 1 << 20});
  const int32_t pages =
      store
          .open(1, folders.put(
                       "a", all(module("model.layers.0.self_attn.k_proj", 8), module(kQuery, 32))))
          .pages;
  ASSERT_EQ(load(store, 1, pages), "");
  const auto packed = store.packed(1);
  const auto parts = packed->parts(1);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].out_begin, 0);
  EXPECT_EQ(parts[0].out, 32);
  EXPECT_EQ(parts[1].out_begin, 32);
  EXPECT_EQ(parts[1].out, 8);
}

TEST(AdapterStore, ARootThatTheBaseLacksIsNoDifference) {
  const Base base;
  const Folders folders;
  AdapterStore store(base.projections, {.memory_bytes = 1 << 20});
  store.open(1, folders.put("a", all(module("layers.0.self_attn.o_proj", 24))));
  store.open(2, folders.put("b", all(module("transformer.layers.0.self_attn.o_proj", 24))));
}

TEST(AdapterStore, WhatBelongsToAnotherBaseIsRefusedByName) {
  const Base base;
  const Folders folders;
  AdapterStore store(base.projections, {.memory_bytes = 1 << 20});
  EXPECT_EQ(refusal(store, folders.put("shape", all(module(kOut, 20)))),
            "tensor 'base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight' has the shape "
            "[20, 4], the base's projection model.layers.0.self_attn.o_proj asks for [24, 4]; the "
            "adapter is for another model");
  EXPECT_EQ(refusal(store, folders.put("in", all(module(kOut, 24, 4, 17)))),
            "tensor 'base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight' has the shape "
            "[4, 17], the base's projection model.layers.0.self_attn.o_proj asks for [4, 16]; the "
            "adapter is for another model");
  EXPECT_EQ(refusal(store, folders.put("name", all(module("model.layers.7.mlp.up_proj", 24)))),
            "module 'model.layers.7.mlp.up_proj' is no projection of the base; the adapter is for "
            "another model");
  EXPECT_NE(refusal(store, folders.put("head", all(module("lm_head", 24)))).find("output head"),
            std::string::npos);
  EXPECT_NE(refusal(store, folders.put("both", all(module(kQkv, 48), module(kQuery, 32))))
                .find("are the same projection"),
            std::string::npos);
}

TEST(AdapterStore, WhatNeverFitsIsRefused) {
  const Base base;
  const Folders folders;
  AdapterStore store(base.projections, {.memory_bytes = page_bytes_for(base.projections)});
  EXPECT_EQ(store.pages(), 1);
  store.open(1, folders.put("small", all(module(kOut, 24))));
  EXPECT_NE(
      refusal(store, folders.put("large", all(module(kOut, 24, 300)))).find("--adapter-memory"),
      std::string::npos);
  AdapterStore low(base.projections, {.memory_bytes = 1 << 20, .limits = {.rank_max = 3}});
  EXPECT_NE(refusal(low, folders.put("rank", all(module(kOut, 24)))).find("3"), std::string::npos);
}

TEST(AdapterStore, AFileThatChangedIsNotRead) {
  const Base base;
  const Folders folders;
  AdapterStore store(base.projections, {.memory_bytes = 1 << 20});
  const std::string folder = folders.put("a", all(module(kOut, 24)));
  store.open(1, folder);
  folders.put("a", all(module(kOut, 24, 8)));
  EXPECT_NE(load(store, 1, store.pages()).find("has changed"), std::string::npos);
  fs::remove_all(folder);
  EXPECT_NE(load(store, 1, store.pages()).find("cannot be read"), std::string::npos);
  store.open(2, folders.put("a", all(module(kOut, 24))));
  EXPECT_EQ(load(store, 2, store.pages()), "");
}

TEST(AdapterStore, TheLastUsedStayMapped) {
  const Base base;
  const Folders folders;
  AdapterStore store(base.projections, {.memory_bytes = 1 << 20, .mapped_max = 2});
  for (int32_t id = 1; id <= 4; ++id) {
    store.open(id, folders.put(std::to_string(id), all(module(kOut, 24))));
  }
  EXPECT_EQ(store.tiers().mapped, 2);
  EXPECT_EQ(store.tiers().stored, 2);
  ASSERT_EQ(load(store, 1, 1), "") << "opened again";
  EXPECT_EQ(store.tiers().packed, 1);
  EXPECT_EQ(store.tiers().mapped, 1);
  store.evict(1);
  EXPECT_EQ(store.tiers().mapped, 2);
  store.close(1);
  store.close(4);
  EXPECT_EQ(store.tiers().mapped + store.tiers().stored, 2);
}

TEST(AdapterStore, DoraGainsBringRowsToTheirLengths) {
  const Base base;
  const Folders folders;
  AdapterModule dora = module(kOut, 24);
  Random random(4);
  dora.magnitude = random_tensor(random, {24});
  AdapterStore store(base.projections, {.memory_bytes = 1 << 20});
  const int32_t pages = store.open(1, folders.put("a", all(std::move(dora)))).pages;
  ASSERT_EQ(load(store, 1, pages), "");
  const AdapterModule again = module(kOut, 24);
  Random same(4);
  const Tensor magnitude = random_tensor(same, {24});
  const auto packed = store.packed(1);
  const ops::LoraPart& part = packed->parts(0)[0];
  for (int64_t o = 0; o < 24; ++o) {
    double squares = 0;
    for (int64_t i = 0; i < 16; ++i) {
      double value = double{base.projections[0].weight.matrix.row<float>(o)[i]};
      for (int64_t k = 0; k < 4; ++k) {
        value += 2.0 * double{again.b->row<float>(o)[k]} * double{again.a->row<float>(k)[i]};
      }
      squares += value * value;
    }
    EXPECT_NEAR(part.gain[o], magnitude->as<float>()[o] / std::sqrt(squares), 1e-5);
    EXPECT_EQ(part.shift[o], 0.0f) << "there is no bias";
  }
}

}  // namespace
}  // namespace hearth::adapters
