// Conversations to tokens through the model's own chat template, with marks on what is learned: the
// assistant's words and the mark that ends its turn.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/json_fwd.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace hearth::train {

struct MarkedTokens {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> learn;  // [tokens] 1: its prediction counts

  int64_t learned() const;
};

class ConversationEncoder {
 public:
  // Both outlive the encoder.
  ConversationEncoder(const tokenizer::Tokenizer& tokenizer, const tokenizer::ChatTemplate& chat)
      : tokenizer_(tokenizer), chat_(chat) {}

  // `messages` is OpenAI's array; of those from `first` on, the assistant's are learned, but not
  // where they say "weight": 0. One document, or, where the template writes earlier turns
  // differently once others follow, one for each learned turn. `tools` may be null.
  std::vector<MarkedTokens> encode(const io::Json& messages, size_t first = 0,
                                   const io::Json* tools = nullptr) const;

  // Text without a template; what follows `prompt` is learned, the end token included.
  MarkedTokens encode_text(std::string_view prompt, std::string_view text) const;

 private:
  struct Turn {
    std::vector<int32_t> tokens;  // up to the end of the turn
    size_t begin = 0, end = 0;    // what is learned
  };
  std::vector<int32_t> render(const io::Json& messages, size_t count, bool asks,
                              const io::Json* tools) const;
  Turn turn(const io::Json& messages, size_t at, const io::Json* tools) const;

  const tokenizer::Tokenizer& tokenizer_;
  const tokenizer::ChatTemplate& chat_;
};

}  // namespace hearth::train
