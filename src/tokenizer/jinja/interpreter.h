// Walks the tree of a template once and writes its text.
#pragma once

#include <string>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/runtime.h"

namespace hearth::tokenizer::jinja {

// `variables` are the template's globals; they shadow the built-in ones.
std::string render(Runtime& runtime, const Ast& ast, const Dict& variables);

}  // namespace hearth::tokenizer::jinja
