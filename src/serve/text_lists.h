// Small codings of what is kept in one column or field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::serve {

// "a,b"; entries have no commas. The empty text is the empty list.
std::vector<std::string> split_list(std::string_view text);
std::string join_list(const std::vector<std::string>& entries);

std::string to_hex(std::string_view bytes);
// What is no pair of hexadecimal digits ends it.
std::string from_hex(std::string_view text);

}  // namespace hearth::serve
