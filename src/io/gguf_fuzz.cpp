// Any bytes as a GGUF file: a table of checked views, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.h"
#include "io/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  try {
    const io::Gguf gguf = io::parse_gguf(file, "fuzz.gguf");
    for (const auto& [name, tensor] : gguf.tensors) {
      const bool inside = tensor.data.empty() ||
                          (tensor.data.data() >= file.data() &&
                           tensor.data.data() + tensor.data.size() <= file.data() + file.size());
      if (!inside) std::abort();
    }
    for (const char* key : {"tokenizer.ggml.tokens", "tokenizer.ggml.scores", "a"}) {
      try {
        gguf.metadata.strings(key);
        gguf.metadata.numbers(key);
      } catch (const Error&) {
        // of another type
      }
    }
  } catch (const Error&) {
    // refused, as it should be
  }
  return 0;
}
