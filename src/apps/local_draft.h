// The model that guesses for the one that is served: loaded beside it, and checked to write in the
// same tokens.
#pragma once

#include <memory>
#include <string>

#include "apps/model_flags.h"
#include "apps/model_source.h"
#include "apps/packed_cache.h"
#include "models/model.h"
#include "ops/context.h"
#include "runner/draft_model.h"

namespace hearth::tokenizer {
class Tokenizer;
}

namespace hearth::apps {

class LocalDraft {
 public:
  // Reads flags.draft_model with the same flags as the served model.
  explicit LocalDraft(const ModelFlags& flags);

  const std::string& name() const { return source_.name; }
  // Guesses for `target`, which the flags call `name` and which `tokenizer` belongs to, in up to
  // `seats` texts at once. Throws Error naming both models and the first token that differs.
  std::unique_ptr<runner::DraftModel> drafter(const models::ModelInfo& target,
                                              const std::string& name,
                                              const tokenizer::Tokenizer& tokenizer, int32_t seats,
                                              const ops::Context& context) const;

 private:
  ModelSource source_;
  LoadedModel loaded_;
};

}  // namespace hearth::apps
