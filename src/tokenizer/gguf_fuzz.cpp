// Any bytes as a GGUF file with a tokenizer: an Error, or a tokenizer that encodes and decodes.
#include <cstdint>
#include <span>

#include "base/error.h"
#include "io/gguf.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  io::MemoryFiles files("fuzz", {{io::kGgufFile, file}});
  try {
    const auto tokenizer = tokenizer::Tokenizer::load(files);
    const auto ids = tokenizer->encode("Hello, world! 1234 \xC3\xA9\n  <0x0A>");
    tokenizer->decode(ids);
    tokenizer::ChatTemplate::load(files);
  } catch (const Error&) {
  }
  return 0;
}
