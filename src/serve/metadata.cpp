#include "serve/metadata.h"

#include "base/error.h"
#include "io/json.h"

namespace hearth::serve {
namespace {

constexpr size_t kEntriesMax = 16;
constexpr size_t kKeyBytesMax = 64;
constexpr size_t kValueBytesMax = 512;

}  // namespace

std::string read_metadata(const Fields& fields) {
  const io::Json* metadata = fields.object("metadata");
  if (!metadata) return "{}";
  bool fits = metadata->size() <= kEntriesMax;
  for (const auto& [key, value] : metadata->items()) {
    fits = fits && key.size() <= kKeyBytesMax && value.is_string() &&
           value.get_ref<const std::string&>().size() <= kValueBytesMax;
  }
  if (!fits) {
    throw_error(ErrorCode::kInvalidArgument, "metadata",
                "'metadata': expected at most {} strings of at most {} bytes, under names of at "
                "most {}",
                kEntriesMax, kValueBytesMax, kKeyBytesMax);
  }
  return io::dump_json(*metadata);
}

}  // namespace hearth::serve
