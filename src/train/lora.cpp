#include "train/lora.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "ops/unpack.h"

namespace hearth::train {

LoraSet::LoraSet(const adapters::AdapterConfig& config, const std::string& where)
    : config_(config), rules_(config, where), where_(where) {
  shared_.dropout = static_cast<float>(config.lora_dropout);
}

LoraSet::~LoraSet() = default;

std::unique_ptr<LowRankPart> LoraSet::make(const Projection& projection, Parameters& parameters) {
  names_.push_back(projection.name);
  if (!rules_.targets(projection.name)) return nullptr;
  LoraShape shape;
  shape.projection = projection;
  shape.rank = rules_.rank(projection.name);
  shape.scale = rules_.scale(projection.name);
  shape.dora = config_.use_dora;
  shape.seed = split_mix(parts_.size());
  const int64_t rank_max = std::min(projection.in, projection.out);
  if (shape.rank < 1 || shape.rank > rank_max) {
    throw_error(ErrorCode::kInvalidArgument, where_, "rank {} of module '{}' must be from 1 to {}",
                shape.rank, projection.name, rank_max);
  }
  auto part = std::make_unique<LoraPart>(std::move(shape), shared_, parameters);
  parts_.push_back(part.get());
  return part;
}

void LoraSet::initialise(ops::TrainContext& ctx, ModelWeights& weights) {
  if (parts_.empty()) {
    throw_error(ErrorCode::kInvalidArgument, where_,
                "target_modules choose none of the model's layers; it has {}, ...",
                fmt::join(names_.begin(),
                          names_.begin() + std::min<ptrdiff_t>(7, std::ssize(names_)), ", "));
  }
  weights_changed();
  if (!config_.use_dora) return;
  for (LoraPart* part : parts_) {
    const std::string name = part->shape().projection.name + ".weight";
    bool found = false;
    for (const FrozenParameter& frozen : weights.frozen) {
      for (size_t i = 0; i < frozen.pieces.size(); ++i) {
        if (frozen.shape.pieces[i].name != name) continue;
        const ops::Weight& weight = frozen.pieces[i];
        found = true;
        if (!ops::quantized(weight.format)) {
          part->set_magnitude(weight.matrix);
          continue;
        }
        const Tensor unpacked(DType::kF32, {weight.out, weight.in});
        ops::unpack(ctx, weight, unpacked);
        part->set_magnitude(unpacked);
      }
    }
    CHECK(found, "the frozen weight {} is not loaded", name);
  }
}

void LoraSet::load(const adapters::Adapter& adapter) {
  const auto unequal = [&](const std::string& what) {
    throw_error(ErrorCode::kInvalidArgument, where_,
                "the adapter to go on from {}; give it the same modules and ranks", what);
  };
  if (adapter.modules.size() != parts_.size()) {
    unequal(fmt::format("has {} modules, this run {}", adapter.modules.size(), parts_.size()));
  }
  for (LoraPart* part : parts_) {
    const auto& shape = part->shape();
    const auto it =
        std::find_if(adapter.modules.begin(), adapter.modules.end(),
                     [&](const auto& module) { return module.name == shape.projection.name; });
    if (it == adapter.modules.end()) {
      unequal(fmt::format("has no module '{}'", shape.projection.name));
    }
    if (it->rank != shape.rank || it->in() != shape.projection.in ||
        it->out() != shape.projection.out || it->magnitude->empty() == shape.dora) {
      unequal(fmt::format("has another shape for '{}'", shape.projection.name));
    }
    part->load(*it);
  }
  weights_changed();
}

// "all-linear" becomes the names that it chose, as in what PEFT saves: readers that load an adapter
// need not know the model's layers.
void LoraSet::resolve_targets(adapters::AdapterConfig& config) const {
  using Kind = adapters::TargetModules::Kind;
  if (config.target_modules.kind != Kind::kAllLinear) return;
  std::set<std::string> names;
  for (const LoraPart* part : parts_) {
    const std::string& name = part->shape().projection.name;
    names.insert(name.substr(name.rfind('.') + 1));
  }
  config.target_modules = {Kind::kNames, {names.begin(), names.end()}, {}};
}

adapters::Adapter LoraSet::adapter() const {
  adapters::Adapter adapter;
  adapter.config = config_;
  for (const LoraPart* part : parts_) {
    adapter.modules.push_back(part->module());
    if (part->shape().projection.layout == PieceLayout::kTransposed) {
      adapter.config.fan_in_fan_out = true;
    }
  }
  resolve_targets(adapter.config);
  std::sort(adapter.modules.begin(), adapter.modules.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return adapter;
}

double LoraSet::bytes_of_token(DType compute) const {
  const auto element = static_cast<double>(dtype_bytes(compute));
  double kept = 0;
  int64_t widest_in = 0, widest_out = 0;
  for (const LoraPart* part : parts_) {
    const LoraShape& shape = part->shape();
    kept += 2 * element * static_cast<double>(shape.rank);
    if (shape.dora) kept += element * static_cast<double>(shape.projection.out);
    widest_in = std::max(widest_in, shape.projection.in);
    widest_out = std::max(widest_out, shape.projection.out);
  }
  // The spares: a masked input, a product, and what a residual stream waits for.
  return kept + sizeof(float) * static_cast<double>(widest_in + 2 * widest_out);
}

void LoraSet::set_mode(LoraShared::Mode mode, uint64_t key) {
  shared_.mode = mode;
  shared_.dropout_key = key;
}

}  // namespace hearth::train
