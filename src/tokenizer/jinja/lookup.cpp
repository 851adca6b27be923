// value.name, value[key] and value[a:b:c], as jinja2's immutable sandbox resolves them: attributes
// first for the dot, items first for the bracket, and nothing that could change or escape.
#include <algorithm>
#include <array>

#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

constexpr std::array<std::string_view, 5> kDictChanges = {"clear", "pop", "popitem", "setdefault",
                                                          "update"};
constexpr std::array<std::string_view, 8> kListChanges = {"append", "clear", "pop",    "reverse",
                                                          "insert", "sort",  "extend", "remove"};

template <typename Names>
bool among(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool changes(const Value& value, std::string_view name) {
  if (value.is(Kind::kDict)) return among(kDictChanges, name);
  return value.is(Kind::kList) && value.list().form == Form::kList && among(kListChanges, name);
}

Value unsafe(Runtime& runtime, const Value& value, std::string_view name) {
  return runtime.undefined(
      fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(value)));
}

std::string described(const Value& value) {
  if (value.is(Kind::kNone)) return "None";
  return fmt::format("'{} object'", type_name(value));
}

Value no_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  return runtime.undefined(fmt::format("{} has no attribute '{}'", described(value), name));
}

// The attribute proper, methods included; false when the type has none of that name.
bool own_attribute(Runtime& runtime, const Value& value, std::string_view name, Value& out) {
  if (changes(value, name)) {
    out = unsafe(runtime, value, name);
    return true;
  }
  if (name.starts_with("__") &&
      among(std::array<std::string_view, 5>{"__class__", "__init__", "__dict__", "__doc__",
                                            "__len__"},
            name)) {
    out = unsafe(runtime, value, name);
    return true;
  }
  if (value.is(Kind::kObject)) return value.object().get(runtime, name, out);
  if (value.is(Kind::kList) && value.list().form == Form::kGroup) {
    if (name != "grouper" && name != "list") return false;
    out = value.list().items[name == "grouper" ? 0 : 1];
    return true;
  }
  return find_method(runtime, value, name, out);
}

bool indexable(const Value& value) {
  if (!value.is(Kind::kList)) return false;
  const Form form = value.list().form;
  return form == Form::kList || form == Form::kTuple || form == Form::kRange ||
         form == Form::kGroup;
}

// The item proper; false for LookupError and TypeError.
bool own_item(Runtime& runtime, const Value& value, const Value& key, Value& out) {
  if (value.is(Kind::kDict)) {
    if (key.is(Kind::kDict) || (key.is(Kind::kList) && key.list().form != Form::kTuple)) {
      return false;
    }
    const Value* found = value.dict().find(runtime, key);
    if (found != nullptr) out = *found;
    return found != nullptr;
  }
  if (!key.is_integral()) return false;
  const bool is_text = value.is(Kind::kString);
  if (!is_text && !indexable(value)) return false;
  const int64_t count = length(runtime, value);
  const int64_t i = key.integer() < 0 ? key.integer() + count : key.integer();
  if (i < 0 || i >= count) return false;
  if (!is_text) {
    out = value.list().items[static_cast<size_t>(i)];
    return true;
  }
  const std::string_view rest =
      std::string_view(value.text()).substr(offset_utf8(value.text(), static_cast<size_t>(i)));
  out = runtime.string(std::string(rest.substr(0, offset_utf8(rest, 1))),
                       value.is_markup() ? Markup::kSafe : Markup::kPlain);
  return true;
}

struct Bounds {
  int64_t start, stop, step;
};

int64_t slice_index(Runtime& runtime, const Value& value, int64_t absent, int64_t count,
                    int64_t low, int64_t high) {
  if (value.is(Kind::kNone)) return absent;
  if (!value.is_integral()) {
    require_defined(runtime, value);
    runtime.fail("slice indices must be integers or None");
  }
  const int64_t i = value.integer() < 0 ? value.integer() + count : value.integer();
  return std::clamp(i, low, high);
}

Bounds slice_bounds(Runtime& runtime, int64_t count, const Value& start, const Value& stop,
                    const Value& step) {
  Bounds out{0, 0, 1};
  if (!step.is(Kind::kNone)) {
    if (!step.is_integral()) runtime.fail("slice indices must be integers or None");
    out.step = step.integer();
  }
  if (out.step == 0) runtime.fail("slice step cannot be zero");
  const bool forward = out.step > 0;
  const int64_t low = forward ? 0 : -1;
  const int64_t high = forward ? count : count - 1;
  out.start = slice_index(runtime, start, forward ? low : high, count, low, high);
  out.stop = slice_index(runtime, stop, forward ? high : low, count, low, high);
  return out;
}

template <typename Take>
void walk(const Bounds& b, int64_t count, Take take) {
  for (int64_t i = b.start; b.step > 0 ? i < b.stop : i > b.stop;) {
    take(static_cast<size_t>(i));
    // A step that leaves the sequence ends the walk; adding it could overflow.
    if (b.step >= count || b.step <= -count) return;
    i += b.step;
  }
}

}  // namespace

Value attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (value.is(Kind::kUndefined)) fail_undefined(runtime, value);
  Value out;
  if (own_attribute(runtime, value, name, out)) return out;
  if (value.is(Kind::kDict)) {
    if (const Value* found = value.dict().find(name)) return *found;
  }
  return no_attribute(runtime, value, name);
}

Value item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is(Kind::kUndefined)) fail_undefined(runtime, value);
  Value out;
  if (own_item(runtime, value, key, out)) return out;
  if (key.is(Kind::kString)) {
    if (own_attribute(runtime, value, key.text(), out)) return out;
    return no_attribute(runtime, value, key.text());
  }
  return runtime.undefined(
      fmt::format("{} has no element {}", type_name(value), repr(runtime, key)));
}

Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step) {
  require_defined(runtime, value);
  if (!value.is(Kind::kString) && !indexable(value)) {
    return runtime.undefined(fmt::format("'{}' object can not be sliced", type_name(value)));
  }
  const int64_t count = length(runtime, value);
  const Bounds bounds = slice_bounds(runtime, count, start, stop, step);
  if (value.is(Kind::kList)) {
    const List& list = value.list();
    std::vector<Value> items;
    walk(bounds, count, [&](size_t i) { items.push_back(list.items[i]); });
    runtime.step(static_cast<int64_t>(items.size()));
    return runtime.list(std::move(items), list.form == Form::kTuple ? Form::kTuple : Form::kList);
  }
  const std::string& text = value.text();
  const Markup markup = value.is_markup() ? Markup::kSafe : Markup::kPlain;
  runtime.scan(text.size());
  if (bounds.step == 1) {
    const size_t first = offset_utf8(text, static_cast<size_t>(bounds.start));
    const auto points = static_cast<size_t>(std::max<int64_t>(bounds.stop - bounds.start, 0));
    const std::string_view rest = std::string_view(text).substr(first);
    return runtime.string(std::string(rest.substr(0, offset_utf8(rest, points))), markup);
  }
  const std::u32string points = decode_utf8(text);
  std::u32string taken;
  walk(bounds, count, [&](size_t i) { taken += points[i]; });
  return runtime.string(encode_utf8(taken), markup);
}

}  // namespace hearth::tokenizer::jinja
