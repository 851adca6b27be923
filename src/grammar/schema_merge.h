// One schema that asks for everything two schemas ask for: how allOf, and keywords beside $ref,
// anyOf and oneOf, are understood.
#pragma once

#include <string>

#include "io/json_fwd.h"

namespace hearth::grammar {

// Neither may hold a $ref at its top. Throws Error{kUnsupported} naming `path` for keywords that
// cannot be merged.
io::Json merge_schemas(const io::Json& a, const io::Json& b, const std::string& path);

// Keywords that describe and do not restrict.
bool is_annotation(const std::string& keyword);

// Whether the array `list` has that element.
bool holds(const io::Json& list, const io::Json& value);

}  // namespace hearth::grammar
