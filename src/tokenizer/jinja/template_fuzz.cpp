// Any bytes as a template, rendered with a small conversation: errors are Error, nothing else.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "io/json.h"
#include "tokenizer/jinja/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hearth::tokenizer::jinja::Limits;
  static const auto variables = hearth::io::parse_json(
      R"({"messages": [{"role": "user", "content": "héllo\n"}, {"role": "assistant",
          "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
          "tools": [{"type": "function"}], "n": 3, "s": "text", "bos_token": "<s>"})",
      "variables");
  const Limits limits{.steps_max = 20000,
                      .output_bytes_max = 1 << 16,
                      .memory_bytes_max = 1 << 22,
                      .depth_max = 100};
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    hearth::tokenizer::jinja::Template(source, "fuzz", limits).render(variables);
  } catch (const hearth::Error&) {
    return 0;
  }
  return 0;
}
