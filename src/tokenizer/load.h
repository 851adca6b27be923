// The readers of tokenizer files: bytes from outside to a TokenizerSpec. Pure functions; each
// throws Error naming file and field.
#pragma once

#include <string>
#include <string_view>

#include "io/gguf.h"
#include "tokenizer/spec.h"

namespace hearth::tokenizer {

// tokenizer.json of Hugging Face's tokenizers.
TokenizerSpec parse_tokenizer_json(std::string_view text, const std::string& where);

// How transformers turns a Llama-style SentencePiece model into a fast tokenizer depends on this
// key of tokenizer_config.json: legacy (the default) always prepends a space, the other form only
// at the start of the text.
enum class SpmPrefix { kLegacy, kFirst };

// tokenizer.model: a SentencePiece ModelProto, BPE or unigram.
TokenizerSpec parse_sentencepiece(std::string_view bytes, SpmPrefix prefix,
                                  const std::string& where);

// vocab.json and merges.txt of GPT-2 and of Qwen2; `tokenizer_class` says which.
TokenizerSpec parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                     const std::string& tokenizer_class, const std::string& where);

// tokenizer.ggml.* of a GGUF file.
TokenizerSpec parse_gguf_tokenizer(const io::GgufMetadata& metadata);
// What tokenizer.ggml.pre calls the way in which `spec` splits text. Throws Error{kUnsupported}
// where the format has no name for it.
std::string gguf_pre_tokenizer(const TokenizerSpec& spec);

// Whichever of these a model's files have, with the configs beside it.
TokenizerSpec load_spec(io::FileSource& files);

// Adds what transformers keeps beside the tokenizer: added tokens, BOS and EOS, clean-up.
// `special_map` is special_tokens_map.json; either text may be empty.
void apply_tokenizer_config(TokenizerSpec& spec, std::string_view config,
                            std::string_view special_map, const std::string& where);

int32_t find_token(const TokenizerSpec& spec, std::string_view text);

}  // namespace hearth::tokenizer
