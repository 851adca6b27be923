#include "adapters/binding.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace hearth::adapters {
namespace {

// What stands before the layers in the names of one base or another; a checkpoint may leave it out.
constexpr std::string_view kRoots[] = {
    "language_model.model.", "model.language_model.", "model.", "transformer.", "gpt_neox.",
};

std::string_view without_root(std::string_view name) {
  for (std::string_view root : kRoots) {
    if (name.starts_with(root)) return name.substr(root.size());
  }
  return name;
}

[[noreturn]] void refuse_unknown(const StoredModule& module, const std::string& where) {
  const std::string_view name = module.name;
  const std::string_view last = name.substr(name.rfind('.') + 1);
  for (std::string_view other :
       {"lm_head", "embed_out", "embed_tokens", "embed_in", "wte", "wpe"}) {
    if (last != other) continue;
    throw_error(ErrorCode::kUnsupported, where,
                "module '{}': adapters of embeddings and of the output head are not served; train "
                "the adapter without '{}' in target_modules",
                name, last);
  }
  throw_error(ErrorCode::kInvalidArgument, where,
              "module '{}' is no projection of the base; the adapter is for another model", name);
}

}  // namespace

ProjectionIndex::ProjectionIndex(std::span<const nn::Projection> projections)
    : projections_(projections) {
  for (size_t i = 0; i < projections.size(); ++i) {
    const nn::Projection& projection = projections[i];
    const int32_t slot = static_cast<int32_t>(i);
    places_[std::string(without_root(projection.name))] = {slot, 0, projection.out};
    for (const nn::Projection::Part& part : projection.parts) {
      places_[std::string(without_root(part.name))] = {slot, part.begin, part.end};
    }
  }
}

BoundPart ProjectionIndex::place(const StoredModule& module, const std::string& where) const {
  const auto found = places_.find(without_root(module.name));
  if (found == places_.end()) refuse_unknown(module, where);
  const Place& place = found->second;
  const nn::Projection& projection = projections_[static_cast<size_t>(place.slot)];
  const auto check = [&](std::string_view part, const TensorView& values, const Shape& expected) {
    if (values.shape == expected) return;
    throw_error(
        ErrorCode::kInvalidArgument, where,
        "tensor '{}' has the shape {}, the base's projection {} asks for {}; the adapter is "
        "for another model",
        tensor_name(module.name, part), values.shape.to_string(), projection.name,
        expected.to_string());
  };
  check(".lora_A.weight", module.a, {module.rank, projection.in});
  check(".lora_B.weight", module.b, {place.end - place.begin, module.rank});
  return {&module, place.slot, place.begin, place.end - place.begin};
}

std::vector<BoundPart> ProjectionIndex::bind(const StoredAdapter& adapter,
                                             const std::string& where) const {
  std::vector<BoundPart> parts;
  for (const StoredModule& module : adapter.modules) parts.push_back(place(module, where));
  std::sort(parts.begin(), parts.end(), [](const BoundPart& a, const BoundPart& b) {
    return a.slot != b.slot ? a.slot < b.slot : a.begin < b.begin;
  });
  for (size_t i = 1; i < parts.size(); ++i) {
    const BoundPart& before = parts[i - 1];
    if (before.slot != parts[i].slot || before.begin + before.out <= parts[i].begin) continue;
    throw_error(ErrorCode::kInvalidArgument, where,
                "modules '{}' and '{}' are the same projection of the base", before.module->name,
                parts[i].module->name);
  }
  return parts;
}

}  // namespace hearth::adapters
