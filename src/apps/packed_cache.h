// Weights that are packed for the kernels while a model is loaded are kept on disk; the next start
// maps them and serves at once (docs/quantisation.md).
#pragma once

#include <memory>
#include <string>

#include "apps/model_source.h"
#include "io/file.h"
#include "models/model.h"

namespace hearth::apps {

// A model and the memory that its weights may be views of.
struct LoadedModel {
  std::unique_ptr<io::MappedFile> packed;
  std::unique_ptr<models::Model> model;
};

enum class PackedCache : uint8_t { kOff, kOn };

// The file is DATA_DIR/packed/NAME-KIND-PATH.safetensors. It is used if it was made from just these
// files, made again if it is stale or damaged, and done without, with a warning, if it cannot be
// written.
LoadedModel load_model(ModelSource& source, const models::LoadOptions& options,
                       const std::string& data_dir, PackedCache cache,
                       const models::Progress& progress = {});

}  // namespace hearth::apps
