// Renders templates for tests/templates/run. One JSON object a line on standard input,
// {"template": ..., "variables": {...}, "now": seconds}; one a line out, {"text": ...} or
// {"error": ...}.
#include <iostream>
#include <string>

#include "base/error.h"
#include "io/json.h"
#include "tokenizer/jinja/template.h"

namespace {

using hearth::io::Json;

Json answer(const std::string& line) {
  try {
    const Json request = hearth::io::parse_json(line, "request");
    const hearth::tokenizer::jinja::Template parsed(request.at("template").get<std::string>());
    const auto now = request.value("now", int64_t{0});
    return {{"text", parsed.render(request.at("variables"), now)}};
  } catch (const hearth::Error& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << hearth::io::dump_json(answer(line)) << "\n";
  }
  return 0;
}
