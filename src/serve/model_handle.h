// A model as the server is given it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/drafter.h"
#include "engine/request.h"
#include "io/json_fwd.h"
#include "serve/adapter_host.h"
#include "serve/language.h"

namespace hearth::serve {

// What a silent request gets: the model's generation_config.json.
struct GenerationDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> typical_p;
  std::optional<double> repetition_penalty;
  std::optional<int64_t> max_new_tokens;
};

// Throws Error naming the field. `where` names the file.
GenerationDefaults read_generation_defaults(const io::Json& generation_config,
                                            const std::string& where);

// The word for it in answers: "mean", "last", ...
const char* to_string(engine::Pooling pooling);

struct ModelHandle {
  std::string name;                  // what clients put in `model`
  std::vector<std::string> aliases;  // other names that are understood
  std::shared_ptr<const TextCodec> codec;
  std::shared_ptr<const ChatFormat> chat;                 // null: the model has no chat template
  std::shared_ptr<const ConstraintCompiler> constraints;  // null: no structured output
  std::vector<TokenId> end_tokens;                        // end of sequence
  GenerationDefaults defaults;
  engine::EngineConfig engine;
  engine::Runner* runner = nullptr;
  engine::Drafter* drafter = nullptr;  // null: guesses are looked up in the text
  AdapterHost* adapters = nullptr;     // null: the base only
  // What /v1/embeddings gives.
  engine::Pooling pooling = engine::Pooling::kMean;
  int32_t embedding_dimension = 0;  // 0: no embeddings
};

}  // namespace hearth::serve
