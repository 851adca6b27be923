// Which projections of a base the modules of an adapter belong to. What does not fit is an Error
// naming the tensor or module: an adapter of another base never gets further.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "adapters/peft.h"
#include "nn/projection.h"

namespace hearth::adapters {

// One module and the outputs of the projection that it adds to.
struct BoundPart {
  const StoredModule* module = nullptr;
  int32_t slot = 0;
  int64_t begin = 0;
  int64_t out = 0;
};

// The projections of one base by name. Immutable; any thread.
class ProjectionIndex {
 public:
  // `projections` outlive this.
  explicit ProjectionIndex(std::span<const nn::Projection> projections);

  // By slot, ascending. `adapter` outlives what is returned; `where` names its file.
  std::vector<BoundPart> bind(const StoredAdapter& adapter, const std::string& where) const;
  std::span<const nn::Projection> projections() const { return projections_; }

 private:
  struct Place {
    int32_t slot = 0;
    int64_t begin = 0;
    int64_t end = 0;
  };
  BoundPart place(const StoredModule& module, const std::string& where) const;

  std::span<const nn::Projection> projections_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace hearth::adapters
