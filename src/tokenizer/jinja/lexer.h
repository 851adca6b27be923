// Cuts a template into text and the tokens between its delimiters, with jinja2's whitespace rules
// for trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/runtime.h"

namespace hearth::tokenizer::jinja {

enum class TokenKind : uint8_t {
  kText,
  kBlockBegin,
  kBlockEnd,
  kOutputBegin,
  kOutputEnd,
  kName,
  kString,  // text is the value, escapes resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  Position at;
};

// Throws Error{kInvalidArgument} naming line and column. The last token is kEnd.
std::vector<Token> lex(std::string_view source, const std::string& template_name);

[[noreturn]] void fail_at(const std::string& template_name, Position at, std::string text);

}  // namespace hearth::tokenizer::jinja
