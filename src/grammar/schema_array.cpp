// Arrays: lists, tuples, and lists of distinct values.
#include <algorithm>
#include <bit>

#include "grammar/schema_compiler.h"
#include "grammar/schema_disjoint.h"
#include "io/json.h"

namespace hearth::grammar {

using io::Json;

namespace {

// A list of distinct values is a walk through their subsets.
constexpr size_t kUniqueValuesMax = 8;

bool wants_unique(const Json& schema) {
  return schema.contains("uniqueItems") && schema["uniqueItems"] != Json(false);
}

}  // namespace

ExprId SchemaCompiler::array(const Json& schema, const std::string& path, int depth) {
  const Json none = Json::array();
  // Draft 7 wrote a list of items, and additionalItems for what follows.
  const bool old_tuple = schema.contains("items") && schema["items"].is_array();
  const char* prefix_key = old_tuple ? "items" : "prefixItems";
  const char* rest_key = old_tuple ? "additionalItems" : "items";
  const Json& prefix = schema.contains(prefix_key) ? schema[prefix_key] : none;
  if (!prefix.is_array()) wrong_schema(path + "/" + prefix_key, "expected a list of schemas");
  const auto fixed = static_cast<int64_t>(prefix.size());
  const int64_t low = count(schema, "minItems", 0, path);
  const int64_t high = count(schema, "maxItems", kUnbounded, path);
  if (high != kUnbounded && high < low) return ir_.never();
  if (high == 0) return ir_.literal("[]");
  if (wants_unique(schema) && high != 1) return unique_items(schema, path);

  ExprId item = schema.contains(rest_key)
                    ? any_schema(schema[rest_key], path + "/" + rest_key, depth + 1)
                    : text_.value();
  if (fixed == 0 && low <= 1 && high == kUnbounded) {
    return text_.brackets("[", text_.list(item), "]", emptiness(low));
  }
  item = text_.rule(path + "/" + rest_key, item);
  const ExprId next = ir_.seq({text_.comma(), item});
  if (fixed == 0) {
    const ExprId more =
        ir_.repeat(next, std::max<int64_t>(0, low - 1), high == kUnbounded ? kUnbounded : high - 1);
    return text_.brackets("[", ir_.seq({item, more}), "]", emptiness(low));
  }
  const int64_t rest_high = high == kUnbounded ? kUnbounded : std::max<int64_t>(0, high - fixed);
  const ExprId tail = ir_.repeat(next, std::max<int64_t>(0, low - fixed), rest_high);
  return tuple(prefix, path + "/" + prefix_key, tail, low, high, depth);
}

// The items of `prefix` in order, then `tail`; what is not needed may be left out from the end.
ExprId SchemaCompiler::tuple(const Json& prefix, const std::string& path, ExprId tail, int64_t low,
                             int64_t high, int depth) {
  for (auto i = static_cast<int64_t>(prefix.size()); i-- > 0;) {
    if (high != kUnbounded && i >= high) {
      tail = ir_.empty();
      continue;
    }
    const ExprId one =
        any_schema(prefix[static_cast<size_t>(i)], path + "/" + std::to_string(i), depth + 1);
    if (i == 0) {
      tail = ir_.seq({one, tail});
    } else {
      tail = ir_.seq({text_.comma(), one, tail});
      if (i >= low) tail = ir_.optional(tail);
    }
  }
  return text_.brackets("[", tail, "]", emptiness(low));
}

// One vertex for each set of values that came already.
ExprId SchemaCompiler::unique_items(const Json& schema, const std::string& path) {
  const bool plain =
      schema.contains("items") && !schema["items"].is_array() && !schema.contains("prefixItems");
  const auto values =
      plain ? finite_values(source_, schema["items"], path + "/items") : std::nullopt;
  if (!values || values->size() > kUniqueValuesMax) {
    unsupported_keyword(path, "uniqueItems",
                        "unless items are one of at most " + std::to_string(kUniqueValuesMax) +
                            " values (enum, const, boolean); leave it out and check it afterwards");
  }
  const int64_t low = count(schema, "minItems", 0, path);
  const int64_t high = count(schema, "maxItems", kUnbounded, path);
  std::vector<ExprId> texts;
  for (const Json& value : *values) {
    texts.push_back(text_.rule(path + "/items", text_.constant(value)));
  }
  const auto end = static_cast<int32_t>(1u << values->size());
  std::vector<GraphEdge> edges;
  for (int32_t seen = 0; seen < end; ++seen) {
    const int taken = std::popcount(static_cast<uint32_t>(seen));
    if (seen != 0 && taken >= low) edges.push_back({seen, end, ir_.empty()});
    if (high != kUnbounded && taken >= high) continue;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto next = static_cast<int32_t>(static_cast<uint32_t>(seen) | 1u << i);
      if (next == seen) continue;
      edges.push_back({seen, next, seen == 0 ? texts[i] : ir_.seq({text_.comma(), texts[i]})});
    }
  }
  return text_.brackets("[", ir_.graph(end + 1, std::move(edges)), "]", emptiness(low));
}

}  // namespace hearth::grammar
