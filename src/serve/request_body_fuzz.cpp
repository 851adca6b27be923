// Every route that reads JSON, on arbitrary bodies: no crash, and always an answer.
#include <cstdint>

#include "base/check.h"
#include "base/log.h"
#include "serve/test_house.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hearth::serve::TestHouse;
  static const char* const kPaths[] = {
      "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
      "/v1/embeddings",       "/tokenize",       "/detokenize",   "/v1/messages/count_tokens"};
  static TestHouse house = [] {
    hearth::log::init("off");
    auto model = hearth::serve::fake_model();
    model.engine.max_model_len = 256;
    model.engine.max_choices = 4;
    return TestHouse({}, std::move(model));
  }();
  if (size < 1) return 0;
  const std::string body(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto response = house.post(kPaths[data[0] % std::size(kPaths)], body);
  CHECK(response.status >= 200 && response.status < 500, "status {}: {}", response.status,
        response.body);
  return 0;
}
