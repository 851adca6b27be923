// The formats of JSON schema as patterns.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hearth::grammar {

// A regex for the whole string, or nothing for a format that is not known.
std::optional<std::string> format_pattern(std::string_view format);

// A standard format that restricts strings in a way no pattern here expresses.
bool is_unsupported_format(std::string_view format);

}  // namespace hearth::grammar
