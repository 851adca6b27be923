// Whether alternatives of oneOf can be told apart: oneOf is anyOf where no value fits two of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "grammar/schema_source.h"
#include "io/json_fwd.h"

namespace hearth::grammar {

// Throws Error{kUnsupported} naming the first two alternatives that may both fit what is written
// for one of them.
void check_disjoint(SchemaSource& source, const std::vector<io::Json>& alternatives,
                    const std::string& path);

// All values that fit, each once, where the schema lists them (const, enum, boolean, null, and
// alternatives of those).
std::optional<io::Json> finite_values(SchemaSource& source, const io::Json& schema,
                                      const std::string& path);

}  // namespace hearth::grammar
