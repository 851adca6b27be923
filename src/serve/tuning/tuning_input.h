// The files of a tuning job: whether every line is an example of its method.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::serve {

// The number of examples. Throws Error{kInvalidArgument} naming the first line that is none.
int64_t count_examples(const std::string& path, const std::string& method, int64_t line_bytes_max);

}  // namespace hearth::serve
