// For tests: adapters with random weights, folders for them, and stores that have loaded them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "adapters/peft.h"
#include "adapters/store.h"
#include "base/random.h"
#include "models/model.h"

namespace hearth::runner {

enum class Dora : uint8_t { kNo, kYes };

struct AdapterShape {
  std::vector<const char*> modules;  // the ends of the names of projections, or of parts of them
  int64_t rank = 8;
  Dora dora = Dora::kNo;
};

// Strong enough to change what the model says.
adapters::Adapter random_adapter(Random& random, const models::Model& model,
                                 const AdapterShape& shape);

// A folder that goes with the object.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }
  // A folder in it.
  std::string folder(const std::string& name) const;

 private:
  std::string path_;
};

// Loads an open adapter into the first pages, and waits for it.
void bring(adapters::AdapterStore& store, int32_t id);

}  // namespace hearth::runner
