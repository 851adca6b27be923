// The language of a real model: Hearth's tokenizer, chat template, reply parsers and grammars
// behind the interfaces of language.h.
#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "serve/language.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace hearth::serve {

struct Language {
  std::shared_ptr<const TextCodec> codec;
  std::shared_ptr<const ChatFormat> chat;
  std::shared_ptr<const ConstraintCompiler> constraints;
};

// What the model itself says about tokens.
struct ModelTokens {
  std::vector<TokenId> ends;  // any of them ends a reply
  int32_t vocabulary = 0;     // rows of its head; a tokenizer may know more, which never come
};

// `clock` tells templates the date; it outlives the language.
Language make_language(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                       std::shared_ptr<const tokenizer::ChatTemplate> chat_template,
                       const ModelTokens& model, const Clock& clock);

}  // namespace hearth::serve
