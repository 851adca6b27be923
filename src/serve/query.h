// Typed reading of what stands behind '?' in a request. A wrong value is an
// Error{kInvalidArgument} naming it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/state/page.h"

namespace hearth::serve {

constexpr int64_t kForeverS = int64_t{1} << 40;  // no time that is asked for lies behind it

class Query {
 public:
  explicit Query(std::string_view raw);

  std::optional<std::string> text(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key, int64_t low, int64_t high) const;
  // "key=a&key=b", "key[]=a&key[]=b", or "key=a,b".
  std::vector<std::string> list(std::string_view key) const;
  // The fields "name[x]=y", as (x, y).
  std::vector<std::pair<std::string, std::string>> entries(std::string_view name) const;
  // after, limit, order.
  Page page(int64_t limit_silent, int64_t limit_max) const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

}  // namespace hearth::serve
