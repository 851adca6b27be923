#include "tokenizer/jinja/value.h"

#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/runtime.h"

namespace hearth::tokenizer::jinja {
namespace {

constexpr size_t kLinearMax = 8;
constexpr size_t kAbsent = static_cast<size_t>(-1);

}  // namespace

bool Object::get(Runtime&, std::string_view, Value&) { return false; }
bool Object::set(Runtime&, std::string_view, const Value&) { return false; }
Value Object::call(Runtime& runtime, Arguments&) {
  runtime.fail("'{}' object is not callable", type_name());
}

size_t Dict::position(Runtime& runtime, const Value& key) const {
  const size_t code = hash(runtime, key);
  if (by_hash.empty()) {
    for (size_t i = 0; i < entries.size(); ++i) {
      if (equals(runtime, entries[i].first, key)) return i;
    }
    return kAbsent;
  }
  const auto [first, last] = by_hash.equal_range(code);
  for (auto it = first; it != last; ++it) {
    runtime.step();
    if (equals(runtime, entries[it->second].first, key)) return it->second;
  }
  return kAbsent;
}

const Value* Dict::find(Runtime& runtime, const Value& key) const {
  const size_t i = position(runtime, key);
  return i == kAbsent ? nullptr : &entries[i].second;
}

const Value* Dict::find(std::string_view key) const {
  const auto matches = [&](const Value& value) {
    return value.is(Kind::kString) && value.text() == key;
  };
  if (by_hash.empty()) {
    for (const auto& [name, value] : entries) {
      if (matches(name)) return &value;
    }
    return nullptr;
  }
  const auto [first, last] = by_hash.equal_range(std::hash<std::string_view>()(key));
  for (auto it = first; it != last; ++it) {
    if (matches(entries[it->second].first)) return &entries[it->second].second;
  }
  return nullptr;
}

void Dict::put(Runtime& runtime, const Value& key, const Value& value) {
  const size_t i = position(runtime, key);
  if (i != kAbsent) {
    entries[i].second = value;
    return;
  }
  runtime.allocated(sizeof(entries[0]) + 4 * sizeof(void*));
  entries.emplace_back(key, value);
  if (entries.size() <= kLinearMax) return;
  for (size_t n = by_hash.size(); n < entries.size(); ++n) {
    by_hash.emplace(hash(runtime, entries[n].first), static_cast<uint32_t>(n));
  }
}

}  // namespace hearth::tokenizer::jinja
