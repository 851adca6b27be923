// The `metadata` of OpenAI's objects: up to 16 short texts by name.
#pragma once

#include <string>

#include "serve/fields.h"

namespace hearth::serve {

// As JSON; "{}" where there is none. Throws Error{kInvalidArgument, "metadata"}.
std::string read_metadata(const Fields& fields);

}  // namespace hearth::serve
