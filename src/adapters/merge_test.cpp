#include "adapters/merge.h"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "io/file.h"
#include "io/safetensors.h"

namespace hearth::adapters {
namespace {

class OneWorker final : public ops::Workers {
 public:
  int count() const override { return 1; }
  void run(int64_t tasks, const std::function<void(int64_t, int)>& body) override {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
  }
};

Tensor numbers(std::initializer_list<float> values, Shape shape) {
  Tensor tensor(DType::kF32, shape);
  std::copy(values.begin(), values.end(), tensor->as<float>());
  return tensor;
}

// W = [[1, 0], [0, 1], [2, 0]], B·A = [[1, 2], [0, 0], [2, 4]], scale 2.
AdapterModule small_module() {
  AdapterModule module;
  module.name = "model.layers.0.q";
  module.rank = 1;
  module.scale = 2;
  module.a = numbers({1, 2}, {1, 2});
  module.b = numbers({1, 0, 2}, {3, 1});
  return module;
}

class MergeTest : public testing::Test {
 protected:
  MergeTest()
      : folder_(testing::TempDir() + "hearth-merge-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ + "/base");
  }
  ~MergeTest() override { std::filesystem::remove_all(folder_); }

  void write_base(const std::string& name, std::vector<int64_t> shape,
                  const std::vector<float>& values) {
    const std::vector<float> other = {7, 8};
    const io::TensorToStore tensors[] = {
        {name, "F32", std::move(shape), std::as_bytes(std::span(values))},
        {"model.norm.weight", "F32", {2}, std::as_bytes(std::span(other))}};
    io::write_file_atomic(folder_ + "/base/model.safetensors", io::build_safetensors(tensors));
    io::write_file_atomic(folder_ + "/base/config.json", "{}");
  }
  std::vector<float> merged(const std::string& name) {
    const std::string bytes = io::read_file(folder_ + "/out/model.safetensors");
    const auto map = io::parse_safetensors(std::as_bytes(std::span(bytes)), "out");
    const auto data = map.at(name).data;
    std::vector<float> values(data.size() / sizeof(float));
    std::memcpy(values.data(), data.data(), data.size());
    return values;
  }
  void merge(const Adapter& adapter) {
    merge_checkpoint(folder_ + "/base", adapter, folder_ + "/out", worker_);
  }

  std::string folder_;
  OneWorker worker_;
};

TEST_F(MergeTest, AddsTheProduct) {
  write_base("model.layers.0.q.weight", {3, 2}, {1, 0, 0, 1, 2, 0});
  Adapter adapter;
  adapter.modules.push_back(small_module());
  merge(adapter);
  EXPECT_EQ(merged("model.layers.0.q.weight"), (std::vector<float>{3, 4, 0, 1, 6, 8}));
  EXPECT_EQ(merged("model.norm.weight"), (std::vector<float>{7, 8}));
  EXPECT_TRUE(io::file_exists(folder_ + "/out/config.json"));
}

TEST_F(MergeTest, DoraGivesRowsTheirLength) {
  write_base("model.layers.0.q.weight", {3, 2}, {1, 0, 0, 1, 2, 0});
  Adapter adapter;
  adapter.modules.push_back(small_module());
  adapter.modules[0].magnitude = numbers({10, 3, 5}, {3});
  merge(adapter);
  EXPECT_EQ(merged("model.layers.0.q.weight"), (std::vector<float>{6, 8, 0, 3, 3, 4}));
}

TEST_F(MergeTest, TurnedWeightsAndNamesWithoutTheOuterModule) {
  write_base("layers.0.q.weight", {2, 3}, {1, 0, 2, 0, 1, 0});
  Adapter adapter;
  adapter.config.fan_in_fan_out = true;
  adapter.modules.push_back(small_module());
  merge(adapter);
  EXPECT_EQ(merged("layers.0.q.weight"), (std::vector<float>{3, 0, 6, 4, 1, 8}));
}

TEST_F(MergeTest, RefusesAnotherBase) {
  Adapter adapter;
  adapter.modules.push_back(small_module());
  write_base("model.layers.0.k.weight", {3, 2}, {1, 0, 0, 1, 2, 0});
  EXPECT_THROW(merge(adapter), Error) << "no such module";
  write_base("model.layers.0.q.weight", {2, 3}, {1, 0, 0, 1, 2, 0});
  EXPECT_THROW(merge(adapter), Error) << "another shape";
  EXPECT_THROW(merge_checkpoint(folder_ + "/base", adapter, folder_ + "/base", worker_), Error);
}

}  // namespace
}  // namespace hearth::adapters
