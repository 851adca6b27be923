// Any bytes as a schema: an Error or a grammar whose masks can be walked.
#include "grammar/walk_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hearth::grammar::compile_and_walk(hearth::grammar::GrammarKind::kJsonSchema, data, size);
  return 0;
}
