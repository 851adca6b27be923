// Filters over sequences.
#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

bool given(const Bound& b, size_t i) { return b.has(i) && !b[i].is(Kind::kNone); }

Value lowered(Runtime& runtime, const Value& value) {
  return value.is(Kind::kString) ? runtime.string(to_lower(value.text())) : value;
}

// What sort, unique, min, max and groupby compare: an attribute, or several joined with commas.
Value sort_key(Runtime& runtime, const Value& value, const Value& path, bool case_sensitive) {
  if (path.is(Kind::kString) && path.text().find(',') != std::string::npos) {
    std::vector<Value> parts;
    std::string_view rest = path.text();
    for (;;) {
      const size_t comma = std::min(rest.find(','), rest.size());
      Value part =
          attribute_path(runtime, value, runtime.string(std::string(rest.substr(0, comma))));
      parts.push_back(case_sensitive ? part : lowered(runtime, part));
      if (comma == rest.size()) break;
      rest.remove_prefix(comma + 1);
    }
    return runtime.list(std::move(parts));
  }
  const Value key = path.is(Kind::kNone) ? value : attribute_path(runtime, value, path);
  return case_sensitive ? key : lowered(runtime, key);
}

using Keyed = std::vector<std::pair<Value, Value>>;

// Charged for each comparison; fails on the first pair that has no order.
void sort_keyed(Runtime& runtime, Keyed& items, bool reverse) {
  std::stable_sort(items.begin(), items.end(), [&](const auto& x, const auto& y) {
    runtime.step();
    const int c = compare(runtime, x.first, y.first, Op::kLt);
    return reverse ? c > 0 : c < 0;
  });
}

Keyed keyed(Runtime& runtime, const Value& value, const Value& path, bool case_sensitive) {
  Keyed out;
  for (const Value& item : iterate(runtime, value)) {
    out.emplace_back(sort_key(runtime, item, path, case_sensitive), item);
  }
  return out;
}

std::vector<Value> values_of(const Keyed& items) {
  std::vector<Value> out;
  for (const auto& item : items) out.push_back(item.second);
  return out;
}

Value filter_list(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "list", {"value"}, 1);
  return runtime.list(iterate(runtime, b[0]));
}

Value filter_first(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "first", {"seq"}, 1);
  if (b[0].is(Kind::kList) && b[0].list().form == Form::kGenerator) {
    List& list = b[0].list();
    if (list.consumed < list.items.size()) return list.items[list.consumed++];
    return runtime.undefined("No first item, sequence was empty.");
  }
  const std::vector<Value> items = iterate(runtime, b[0]);
  return items.empty() ? runtime.undefined("No first item, sequence was empty.") : items.front();
}

Value filter_last(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "last", {"seq"}, 1);
  if (b[0].is(Kind::kList) && b[0].list().form == Form::kGenerator) {
    runtime.fail("'generator' object is not reversible");
  }
  const std::vector<Value> items = iterate(runtime, b[0]);
  return items.empty() ? runtime.undefined("No last item, sequence was empty.") : items.back();
}

Value filter_join(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "join", {"value", "d", "attribute"}, 1);
  const std::string by = b.has(1) ? str(runtime, b[1]) : std::string();
  std::string out;
  bool first = true;
  for (const Value& item : iterate(runtime, b[0])) {
    if (!first) out += by;
    first = false;
    const Value part = given(b, 2) ? attribute_path(runtime, item, b[2]) : item;
    std::string storage;
    out += str_view(runtime, part, storage);
    runtime.will_allocate(out.size());
  }
  return runtime.string(std::move(out));
}

Value filter_items(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "items", {"value"}, 1);
  List* out = runtime.list(Form::kGenerator);
  if (b[0].is(Kind::kUndefined)) return Value(out);
  if (!b[0].is(Kind::kDict)) runtime.fail("Can only get item pairs from a mapping.");
  for (const auto& [key, value] : b[0].dict().entries) {
    runtime.append(*out, runtime.list({key, value}, Form::kTuple));
  }
  return Value(out);
}

Value filter_dictsort(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "dictsort", {"value", "case_sensitive", "by", "reverse"}, 1);
  require_defined(runtime, b[0]);
  if (!b[0].is(Kind::kDict)) {
    runtime.fail("'{}' object has no attribute 'items'", type_name(b[0]));
  }
  const std::string by = b.text(2, "key");
  if (by != "key" && by != "value") {
    runtime.fail("You can only sort by either \"key\" or \"value\"");
  }
  Keyed pairs;
  for (const auto& [key, value] : b[0].dict().entries) {
    const Value& sorted = by == "key" ? key : value;
    pairs.emplace_back(b.truth(1, false) ? sorted : lowered(runtime, sorted),
                       runtime.list({key, value}, Form::kTuple));
  }
  sort_keyed(runtime, pairs, b.truth(3, false));
  return runtime.list(values_of(pairs));
}

Value filter_sort(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "sort", {"value", "reverse", "case_sensitive", "attribute"}, 1);
  Keyed items = keyed(runtime, b[0], b.get(3, Value::none()), b.truth(2, false));
  sort_keyed(runtime, items, b.truth(1, false));
  return runtime.list(values_of(items));
}

Value filter_unique(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "unique", {"value", "case_sensitive", "attribute"}, 1);
  Dict* seen = runtime.dict();
  List* out = runtime.list(Form::kGenerator);
  for (const auto& [key, item] : keyed(runtime, b[0], b.get(2, Value::none()), b.truth(1, false))) {
    if (seen->find(runtime, key) != nullptr) continue;
    seen->put(runtime, key, Value::none());
    runtime.append(*out, item);
  }
  return Value(out);
}

template <Op kOp>
Value filter_extreme(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, kOp == Op::kLt ? "min" : "max",
                {"value", "case_sensitive", "attribute"}, 1);
  const Keyed items = keyed(runtime, b[0], b.get(2, Value::none()), b.truth(1, false));
  if (items.empty()) return runtime.undefined("No aggregated item, sequence was empty.");
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    if (compares(runtime, kOp, items[i].first, items[best].first)) best = i;
  }
  return items[best].second;
}

Value filter_sum(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "sum", {"iterable", "attribute", "start"}, 1);
  Value total = b.get(2, Value::integer(0));
  for (const Value& item : iterate(runtime, b[0])) {
    total =
        binary(runtime, Op::kAdd, total, given(b, 1) ? attribute_path(runtime, item, b[1]) : item);
  }
  return total;
}

Value filter_reverse(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "reverse", {"value"}, 1);
  if (b[0].is(Kind::kString)) {
    std::u32string points = decode_utf8(b[0].text());
    std::reverse(points.begin(), points.end());
    return runtime.string(encode_utf8(points));
  }
  std::vector<Value> items = iterate(runtime, b[0]);
  std::reverse(items.begin(), items.end());
  return runtime.list(std::move(items), Form::kGenerator);
}

Value filter_batch(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "batch", {"value", "linecount", "fill_with"}, 2);
  const int64_t size = b.integer(1, 0);
  List* out = runtime.list(Form::kGenerator);
  List* batch = nullptr;
  for (const Value& item : iterate(runtime, b[0])) {
    if (batch == nullptr || static_cast<int64_t>(batch->items.size()) == size) {
      batch = runtime.list();
      runtime.append(*out, Value(batch));
    }
    runtime.append(*batch, item);
  }
  while (given(b, 2) && batch != nullptr && static_cast<int64_t>(batch->items.size()) < size) {
    runtime.step();
    runtime.append(*batch, b[2]);
  }
  return Value(out);
}

Value filter_slice(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "slice", {"value", "slices", "fill_with"}, 2);
  const std::vector<Value> items = iterate(runtime, b[0]);
  const auto count = static_cast<int64_t>(items.size());
  const int64_t slices = b.integer(1, 0);
  if (slices == 0) runtime.fail("integer modulo by zero");
  List* out = runtime.list(Form::kGenerator);
  auto next = items.begin();
  for (int64_t i = 0; i < slices; ++i) {
    runtime.step();
    List* part = runtime.list();
    const bool longer = i < count % slices;
    for (int64_t n = count / slices + (longer ? 1 : 0); n > 0; --n) {
      runtime.append(*part, *next++);
    }
    if (given(b, 2) && !longer) runtime.append(*part, b[2]);
    runtime.append(*out, Value(part));
  }
  return Value(out);
}

Value filter_groupby(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "groupby", {"value", "attribute", "default", "case_sensitive"}, 2);
  const bool case_sensitive = b.truth(3, false);
  Keyed items;
  for (const Value& item : iterate(runtime, b[0])) {
    Value key = attribute_path(runtime, item, b[1]);
    if (key.is(Kind::kUndefined) && given(b, 2)) key = b[2];
    items.emplace_back(case_sensitive ? key : lowered(runtime, key),
                       runtime.list({key, item}, Form::kTuple));
  }
  sort_keyed(runtime, items, false);
  List* out = runtime.list();
  for (size_t i = 0; i < items.size();) {
    List* group = runtime.list();
    const size_t first = i;
    for (; i < items.size() && equals(runtime, items[i].first, items[first].first); ++i) {
      runtime.append(*group, items[i].second.list().items[1]);
    }
    runtime.append(*out,
                   runtime.list({items[first].second.list().items[0], Value(group)}, Form::kGroup));
  }
  return Value(out);
}

Value filter_map(Runtime& runtime, Arguments& a) {
  if (a.positional.empty()) runtime.fail("map() misses its argument 'value'");
  List* out = runtime.list(Form::kGenerator);
  if (a.positional.size() == 1) {
    const Bound b(runtime, a, "map", {"value", "attribute", "default"}, 2);
    for (const Value& item : iterate(runtime, b[0])) {
      const Value found = attribute_path(runtime, item, b[1]);
      runtime.append(*out, found.is(Kind::kUndefined) && b.has(2) ? b[2] : found);
    }
    return Value(out);
  }
  if (!a.positional[1].is(Kind::kString)) runtime.fail("map requires a filter argument");
  for (const Value& item : iterate(runtime, a.positional[0])) {
    Arguments inner{{item}, a.named};
    inner.positional.insert(inner.positional.end(), a.positional.begin() + 2, a.positional.end());
    runtime.append(*out, apply_filter(runtime, a.positional[1].text(), inner));
  }
  return Value(out);
}

enum class Subject { kItem, kAttribute };
enum class Keep { kPassing, kFailing };

template <Subject kSubject, Keep kKeep>
Value filter_select(Runtime& runtime, Arguments& a) {
  const size_t test_at = kSubject == Subject::kItem ? 1 : 2;
  if (a.positional.size() < test_at) runtime.fail("Missing parameter for attribute name");
  List* out = runtime.list(Form::kGenerator);
  for (const Value& item : iterate(runtime, a.positional[0])) {
    const Value subject =
        kSubject == Subject::kItem ? item : attribute_path(runtime, item, a.positional[1]);
    bool passes = false;
    if (a.positional.size() == test_at) {
      passes = truth(subject);
    } else {
      const Value& test = a.positional[test_at];
      if (!test.is(Kind::kString)) runtime.fail("the name of a test must be a string");
      Arguments inner{{subject}, a.named};
      inner.positional.insert(inner.positional.end(),
                              a.positional.begin() + static_cast<ptrdiff_t>(test_at) + 1,
                              a.positional.end());
      passes = apply_test(runtime, test.text(), inner);
    }
    if (passes == (kKeep == Keep::kPassing)) runtime.append(*out, item);
  }
  return Value(out);
}

constexpr NamedFunction kSequenceFilters[] = {
    {"batch", filter_batch},
    {"dictsort", filter_dictsort},
    {"first", filter_first},
    {"groupby", filter_groupby},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"list", filter_list},
    {"map", filter_map},
    {"max", filter_extreme<Op::kGt>},
    {"min", filter_extreme<Op::kLt>},
    {"reject", filter_select<Subject::kItem, Keep::kFailing>},
    {"rejectattr", filter_select<Subject::kAttribute, Keep::kFailing>},
    {"reverse", filter_reverse},
    {"select", filter_select<Subject::kItem, Keep::kPassing>},
    {"selectattr", filter_select<Subject::kAttribute, Keep::kPassing>},
    {"slice", filter_slice},
    {"sort", filter_sort},
    {"sum", filter_sum},
    {"unique", filter_unique},
};

}  // namespace

Value attribute_path(Runtime& runtime, const Value& value, const Value& path) {
  if (path.is_integral()) return item(runtime, value, path);
  if (!path.is(Kind::kString)) runtime.fail("an attribute must be named by a string");
  Value out = value;
  for (std::string_view rest = path.text();;) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    int64_t index = 0;
    const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && parsed.ptr == part.data() + part.size();
    out = item(runtime, out, is_index ? Value::integer(index) : runtime.string(std::string(part)));
    if (dot == rest.size()) return out;
    rest.remove_prefix(dot + 1);
  }
}

Function find_sequence_filter(std::string_view name) {
  return find_function(kSequenceFilters, name);
}

}  // namespace hearth::tokenizer::jinja
