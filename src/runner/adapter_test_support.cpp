#include "runner/adapter_test_support.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <unistd.h>

#include "base/check.h"

namespace hearth::runner {
namespace {

Tensor random_tensor(Random& random, Shape shape, double deviation) {
  Tensor tensor(DType::kF32, shape);
  for (int64_t i = 0; i < shape.count(); ++i) {
    tensor->as<float>()[i] = static_cast<float>(random.normal() * deviation);
  }
  return tensor;
}

void add_module(Random& random, const std::string& name, int64_t out, int64_t in,
                const AdapterShape& shape, adapters::Adapter& adapter) {
  const auto fits = [&](const char* end) { return name.ends_with(std::string(".") + end); };
  if (std::none_of(shape.modules.begin(), shape.modules.end(), fits)) return;
  adapters::AdapterModule& module = adapter.modules.emplace_back();
  module.name = name;
  module.rank = shape.rank;
  module.scale = 2;
  module.a = random_tensor(random, {shape.rank, in}, 1 / std::sqrt(static_cast<double>(in)));
  module.b = random_tensor(random, {out, shape.rank}, 0.1);
  if (shape.dora == Dora::kNo) return;
  module.magnitude = Tensor(DType::kF32, {out});
  for (int64_t o = 0; o < out; ++o) {
    module.magnitude->as<float>()[o] = static_cast<float>(0.5 + random.uniform());
  }
}

}  // namespace

adapters::Adapter random_adapter(Random& random, const models::Model& model,
                                 const AdapterShape& shape) {
  adapters::Adapter adapter;
  adapter.config.r = shape.rank;
  adapter.config.lora_alpha = 2.0 * static_cast<double>(shape.rank);
  adapter.config.use_dora = shape.dora == Dora::kYes;
  adapter.config.target_modules.names.assign(shape.modules.begin(), shape.modules.end());
  for (const nn::Projection& projection : model.projections) {
    add_module(random, projection.name, projection.out, projection.in, shape, adapter);
    for (const nn::Projection::Part& part : projection.parts) {
      add_module(random, part.name, part.end - part.begin, projection.in, shape, adapter);
    }
  }
  return adapter;
}

ScratchFolder::ScratchFolder(const std::string& name)
    : path_((std::filesystem::temp_directory_path() /
             ("hearth_" + name + "_" + std::to_string(::getpid())))
                .string()) {
  std::filesystem::create_directories(path_);
}

ScratchFolder::~ScratchFolder() { std::filesystem::remove_all(path_); }

std::string ScratchFolder::folder(const std::string& name) const {
  const std::string folder = path_ + "/" + name;
  std::filesystem::create_directories(folder);
  return folder;
}

void bring(adapters::AdapterStore& store, int32_t id) {
  std::vector<int32_t> pages;
  for (int32_t page = 0; page < store.pages(); ++page) pages.push_back(page);
  std::string failed;
  store.tell([&](int32_t, const std::string& error) { failed = error; });
  store.load(id, std::move(pages));
  store.wait();
  store.tell({});
  CHECK(failed.empty(), "adapter {}: {}", id, failed);
}

}  // namespace hearth::runner
