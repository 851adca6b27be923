#include "serve/model_handle.h"

#include "base/error.h"
#include "io/json.h"
#include "serve/fields.h"

namespace hearth::serve {

GenerationDefaults read_generation_defaults(const io::Json& generation_config,
                                            const std::string& where) {
  try {
    const Fields fields(generation_config);
    GenerationDefaults defaults;
    defaults.temperature = fields.number("temperature", 0, 100);
    defaults.top_p = fields.number("top_p", 0, 1);
    defaults.top_k = fields.integer("top_k", -1, INT32_MAX);
    defaults.min_p = fields.number("min_p", 0, 1);
    defaults.typical_p = fields.number("typical_p", 0, 1);
    defaults.repetition_penalty = fields.number("repetition_penalty", 0.01, 100);
    defaults.max_new_tokens = fields.integer("max_new_tokens", 1, INT32_MAX);
    return defaults;
  } catch (const Error& error) {
    throw Error(error.code, error.text, where);
  }
}

}  // namespace hearth::serve
