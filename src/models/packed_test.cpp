// Packed weights come back as they were, and damage is noticed before anything is served.
#include "models/packed.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <set>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"
#include "models/test_checkpoint.h"

namespace hearth::models {
namespace {

class Packed : public testing::Test {
 protected:
  Packed()
      : checkpoint_(test_checkpoint(HEARTH_SOURCE_DIR, "llama-gqa")), files_(checkpoint_.files()) {
    model_ = load(files_, {.quantize = Quantize::kQ4, .threads = 2});
  }
  ~Packed() override { std::filesystem::remove(path_); }

  std::string write(const std::vector<io::TensorToStore>& others = {}) const {
    write_packed(path_, {"source", Quantize::kQ4, model_->packed, others});
    return io::read_file(path_);
  }
  std::string error_of(const std::string& file) const {
    try {
      PackedFile::open(io::as_bytes(file), "p.safetensors", 1);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  const TestCheckpoint checkpoint_;
  io::MemoryFiles files_;
  std::unique_ptr<Model> model_;
  const std::string path_ = testing::TempDir() + "packed_test.safetensors";
};

bool same(const ops::Weight& a, const ops::Weight& b) {
  if (a.format != b.format || a.out != b.out || a.in != b.in) return false;
  const auto levels = static_cast<size_t>(ops::quant_level_bytes(a.format, a.out, a.in));
  const auto scales = static_cast<size_t>(ops::quant_scale_bytes(a.out, a.in));
  return std::memcmp(a.matrix.data, b.matrix.data, levels) == 0 &&
         std::memcmp(a.scales.data, b.scales.data, scales) == 0;
}

TEST_F(Packed, ComesBackAsItWas) {
  const std::string file = write();
  const auto packed = PackedFile::open(io::as_bytes(file), "p", 2);
  ASSERT_TRUE(packed);
  EXPECT_EQ(packed->source(), "source");
  EXPECT_EQ(packed->quantize(), Quantize::kQ4);
  EXPECT_EQ(model_->packed.size(), model_->projections.size() + 1);
  for (const PackedWeight& weight : model_->packed) {
    const ops::Weight* found = packed->find(weight.name);
    ASSERT_NE(found, nullptr) << weight.name;
    EXPECT_TRUE(same(*found, weight.weight)) << weight.name;
  }
  EXPECT_EQ(packed->find("elsewhere"), nullptr);
  EXPECT_TRUE(packed->others().empty());
}

// Families whose weights are turned or rearranged when loaded: the packed form is the final one.
TEST_F(Packed, ServesEveryFamilyWithoutPackingAgain) {
  for (const char* name : {"llama-gqa", "gpt2", "neox", "phi3-su"}) {
    SCOPED_TRACE(name);
    std::vector<TestCheckpoint> all = test_checkpoints(HEARTH_SOURCE_DIR);
    const auto it = std::find_if(all.begin(), all.end(), [&](const TestCheckpoint& checkpoint) {
      return checkpoint.name().starts_with(name);
    });
    if (it == all.end()) continue;
    io::MemoryFiles files = it->files();
    const LoadOptions options = {.quantize = Quantize::kQ4, .threads = 1};
    const auto first = load(files, options);
    write_packed(path_, {"", Quantize::kQ4, first->packed, {}});
    const io::MappedFile map(path_);
    const auto packed = PackedFile::open(map.bytes(), path_, 1);
    LoadOptions with = options;
    with.packed = &*packed;
    const auto second = load(files, with);
    EXPECT_TRUE(second->packed.empty());
    ASSERT_EQ(second->projections.size(), first->projections.size());
    for (size_t i = 0; i < first->projections.size(); ++i) {
      EXPECT_TRUE(same(first->projections[i].weight, second->projections[i].weight));
      EXPECT_EQ(second->projections[i].weight.matrix.data,
                packed->find(first->projections[i].name + ".weight")->matrix.data);
    }
    EXPECT_TRUE(same(first->head_weight(), second->head_weight()));
    EXPECT_EQ(first->parameters.size(), second->parameters.size());
  }
}

// A folder as `hearth quantize` writes it.
TEST_F(Packed, AFolderLoadsWithTheTensorsBesideIt) {
  std::set<std::string> names;
  for (const PackedWeight& weight : model_->packed) names.insert(weight.name);
  const io::TensorMap tensors = io::load_safetensors(files_);
  std::vector<io::TensorToStore> others;
  for (const auto& [name, tensor] : tensors) {
    if (!names.contains(name)) others.push_back({name, tensor.dtype, tensor.shape, tensor.data});
  }
  const std::string weights = write(others);
  io::Json config = io::parse_json(files_.text("config.json"), "config.json");
  config["quantization_config"] = {{"quant_method", "hearth"}, {"format", "q4"}};
  const std::string text = io::dump_json(config);
  io::MemoryFiles folder(
      "m", {{"config.json", io::as_bytes(text)}, {"model.safetensors", io::as_bytes(weights)}});
  const auto loaded = load(folder);
  EXPECT_EQ(loaded->info.quantize, Quantize::kQ4);
  for (size_t i = 0; i < model_->projections.size(); ++i) {
    EXPECT_TRUE(same(model_->projections[i].weight, loaded->projections[i].weight));
  }
}

TEST_F(Packed, AnyChangedByteOfTheWeightsIsNoticed) {
  const std::string file = write();
  uint64_t header = 0;
  std::memcpy(&header, file.data(), sizeof(header));
  for (size_t at = 8 + header; at < file.size(); at += 97) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_NE(error_of(damaged).find("its checksum is another"), std::string::npos) << at;
  }
}

TEST_F(Packed, TruncatedAndForeignFilesAreRefused) {
  const std::string file = write();
  for (size_t length : {size_t{0}, size_t{7}, file.size() / 3, file.size() - 1}) {
    EXPECT_NE(error_of(file.substr(0, length)), "no error") << length;
  }
  const std::string plain = io::build_safetensors({});
  EXPECT_FALSE(PackedFile::open(io::as_bytes(plain), "p", 1).has_value());
  const std::string later = io::build_safetensors({}, {{"hearth.packed", "99"}});
  EXPECT_NE(error_of(later).find("version 99"), std::string::npos);
}

TEST_F(Packed, DescriptionsThatCannotBeAreRefused) {
  const std::string levels(1024, 'x'), scales(64, 'y');
  const std::vector<io::TensorToStore> tensors = {
      {"w", "U8", {1, 1024}, io::as_bytes(levels)},
      {"w.scales", "F16", {1, 32}, io::as_bytes(scales)}};
  for (const char* description :
       {"", "q8", "q8 16 64", "q9 16 64 0", "q8 0 64 0", "q8 -1 64 0", "q8 16 6400 0",
        "q8 999999999999 64 0", "q8 16 64 xyz", "q8 16 64 0 1"}) {
    EXPECT_NE(
        error_of(io::build_safetensors(tensors, {{"hearth.packed", "1"}, {"w", description}})),
        "no error")
        << description;
  }
  EXPECT_NE(error_of(io::build_safetensors({}, {{"hearth.packed", "1"}, {"w", "q8 16 64 0"}}))
                .find("its levels or its scales are missing"),
            std::string::npos);
}

}  // namespace
}  // namespace hearth::models
