// Forward declaration of Json, for headers.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace hearth::io {

using Json = nlohmann::ordered_json;

}  // namespace hearth::io
