// From the tokens of one choice to the text that its client sees: streaming decode, stop strings,
// log-probabilities that travel with the text they belong to. One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "serve/language.h"
#include "serve/stop_matcher.h"

namespace hearth::serve {

struct Alternative {
  TokenId id = 0;
  std::string bytes;
  float logprob = 0;
};

// One token with what OpenAI's logprobs tell of it.
struct TokenText {
  TokenId id = 0;
  std::string bytes;
  float logprob = 0;
  int32_t rank = 0;
  std::vector<Alternative> top;
  int32_t text_offset = 0;  // characters of the choice's text before it
};

TokenText describe(const engine::SampledToken& token, const TextCodec& codec);

enum class Logprobs { kNo, kYes };

struct Decoded {
  std::string text;
  std::vector<TokenText> tokens;  // with Logprobs::kYes
};

class ChoiceDecoder {
 public:
  struct Setup {
    std::vector<std::string> stops;
    int32_t min_tokens = 0;  // stop strings do not count before this many
    Logprobs logprobs = Logprobs::kNo;
  };

  ChoiceDecoder(const TextCodec& codec, std::unique_ptr<TextStream> stream, Setup setup);

  // Text and tokens that may be told now.
  Decoded feed(const engine::SampledToken& token);
  // The rest, once nothing more comes.
  Decoded finish();
  const std::optional<std::string>& stop_string() const { return stops_.matched(); }
  // Tokens that were fed until a stop string was found, that one included.
  int32_t tokens() const { return tokens_; }

 private:
  struct Held {
    TokenText token;
    size_t begin = 0;  // bytes of decoded text before it and with it
    size_t end = 0;
  };

  Decoded release(std::string text, bool ended);

  const TextCodec& codec_;
  const std::unique_ptr<TextStream> stream_;
  const Setup setup_;
  StopMatcher stops_;
  std::deque<Held> held_;
  size_t decoded_ = 0;      // bytes out of the stream
  size_t told_ = 0;         // bytes told
  int32_t characters_ = 0;  // out of the stream
  int32_t tokens_ = 0;
};

// Code points of UTF-8 text.
int32_t count_characters(std::string_view text);

}  // namespace hearth::serve
