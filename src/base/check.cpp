#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace hearth::internal {

void check_failed(const char* condition, const std::string& text, std::source_location where) {
  std::fprintf(stderr, "%s:%u: CHECK(%s) failed%s%s\n", where.file_name(),
               static_cast<unsigned>(where.line()), condition, text.empty() ? "" : ": ",
               text.c_str());
  std::abort();
}

}  // namespace hearth::internal
