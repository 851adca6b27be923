#include "serve/query.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "serve/text_lists.h"
#include "transport/http.h"

namespace hearth::serve {
namespace {

// What stands before the first `mark`, and what after it.
std::pair<std::string_view, std::string_view> split_once(std::string_view text, char mark) {
  const size_t at = text.find(mark);
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

}  // namespace

Query::Query(std::string_view raw) {
  while (!raw.empty()) {
    const auto [pair, rest] = split_once(raw, '&');
    const auto [name, content] = split_once(pair, '=');
    raw = rest;
    auto key = transport::percent_decode(name);
    auto value = transport::percent_decode(content);
    if (!key || !value) {
      throw_error(ErrorCode::kInvalidArgument, "query", "the query has a broken '%' escape: {}",
                  pair);
    }
    fields_.emplace_back(std::move(*key), std::move(*value));
  }
}

std::optional<std::string> Query::text(std::string_view key) const {
  for (const auto& [name, value] : fields_) {
    if (name == key) return value;
  }
  return std::nullopt;
}

std::optional<int64_t> Query::integer(std::string_view key, int64_t low, int64_t high) const {
  const auto value = text(key);
  if (!value) return std::nullopt;
  int64_t number = 0;
  const char* end = value->data() + value->size();
  const auto parsed = std::from_chars(value->data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number < low || number > high) {
    throw_error(ErrorCode::kInvalidArgument, std::string(key),
                "'{}': expected an integer between {} and {}, got '{}'", key, low, high, *value);
  }
  return number;
}

std::vector<std::string> Query::list(std::string_view key) const {
  std::vector<std::string> out;
  for (const auto& [name, value] : fields_) {
    if (name != key && name != std::string(key) + "[]") continue;
    for (std::string& entry : split_list(value)) out.push_back(std::move(entry));
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> Query::entries(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> out;
  const std::string open = std::string(name) + "[";
  for (const auto& [key, value] : fields_) {
    if (!key.starts_with(open) || !key.ends_with("]")) continue;
    out.emplace_back(key.substr(open.size(), key.size() - open.size() - 1), value);
  }
  return out;
}

Page Query::page(int64_t limit_silent, int64_t limit_max) const {
  Page page;
  page.after = text("after").value_or("");
  page.limit = integer("limit", 1, limit_max).value_or(limit_silent);
  const std::string order = text("order").value_or("desc");
  if (order != "asc" && order != "desc") {
    throw_error(ErrorCode::kInvalidArgument, "order", "'order': expected asc or desc, got '{}'",
                order);
  }
  page.ascending = order == "asc";
  return page;
}

}  // namespace hearth::serve
