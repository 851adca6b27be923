// The fields that all ways of asking for text share: sampling, limits, stops, structured output.
// OpenAI's names, and vLLM's and llama.cpp's where OpenAI has none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/fields.h"
#include "serve/generation.h"
#include "serve/ids.h"
#include "serve/model_handle.h"

namespace hearth::serve {

struct Constraint {
  ConstraintSpec spec;
  std::string field;  // where it stood, for errors
};

struct GenerationFields {
  engine::Request base;  // without prompt and id
  std::vector<std::string> stops;
  bool skip_special_tokens = true;
  bool token_ids = false;  // return_token_ids
  std::optional<Constraint> constraint;
  bool cut_to_context = false;
};

// What becomes of a limit that does not fit into the context beside the prompt.
enum class BeyondContext {
  kCut,     // it is an upper bound: the text ends where the context does
  kRefuse,  // prompt and limit together may not exceed the context: completions
};

// `max_tokens` are the names under which the limit may come, in order; `silent_max` is what holds
// without one. The cache salt is the tenant's, never the client's.
struct GenerationFieldRules {
  std::vector<const char*> max_tokens;
  int32_t silent_max = engine::kAsManyAsFit;
  uint64_t cache_salt = 0;
  BeyondContext beyond_context = BeyondContext::kCut;
};

GenerationFields read_generation_fields(const Fields& fields, const ModelHandle& model, Ids& ids,
                                        const GenerationFieldRules& rules);

// One prompt made of the fields. A limit that nobody asked for is cut to what fits beside the
// prompt; every choice gets its own constraint.
engine::Request make_prompt(const GenerationFields& fields, const ModelHandle& model,
                            std::vector<TokenId> tokens);

}  // namespace hearth::serve
