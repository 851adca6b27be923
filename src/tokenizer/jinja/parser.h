// Grammar of jinja2 3.1 with the loopcontrols extension and transformers' {% generation %}.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/jinja/ast.h"

namespace hearth::tokenizer::jinja {

// Throws Error{kInvalidArgument} naming line and column.
std::unique_ptr<const Ast> parse(std::string_view source, const std::string& template_name);

}  // namespace hearth::tokenizer::jinja
