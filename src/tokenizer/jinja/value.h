// Values of the template language: Python's, as far as chat templates can tell.
//
// A Value is a small copyable handle. Strings, lists, dicts and objects are cells that a Runtime
// (or, for literals, the parsed template) owns; they die together when a render ends, so cycles
// and very deep values need no care.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hearth::tokenizer::jinja {

class Runtime;
class Value;
struct Arguments;

struct Cell {
  virtual ~Cell() = default;
};

// Text is UTF-8; every operation that a template can see counts code points, as Python does.
enum class Markup : uint8_t { kPlain, kSafe };

struct String final : Cell {
  String(std::string value, Markup kind) : text(std::move(value)), markup(kind) {}
  const std::string text;
  const Markup markup;
};

// What Python would call the sequence: it decides repr, indexing and how often it can be read.
// A group is the tuple of groupby, which also answers to `grouper` and `list`.
enum class Form : uint8_t { kList, kTuple, kGroup, kRange, kKeys, kValues, kItems, kGenerator };

struct List;
struct Dict;

// Anything with attributes or a call: functions, macros, namespaces, loops.
class Object : public Cell {
 public:
  virtual std::string_view type_name() const = 0;
  // False when there is no such attribute.
  virtual bool get(Runtime& runtime, std::string_view name, Value& out);
  virtual bool set(Runtime& runtime, std::string_view name, const Value& value);
  virtual bool callable() const { return true; }
  virtual Value call(Runtime& runtime, Arguments& arguments);
};

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kDict,
  kObject
};

class Value {
 public:
  Value() : kind_(Kind::kUndefined) { as_.reason = nullptr; }
  // `reason`: what an error says when the undefined value is used; may be null.
  static Value undefined(const String* reason) {
    Value value;
    value.as_.reason = reason;
    return value;
  }
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool b) {
    Value value(Kind::kBool);
    value.as_.integer = b ? 1 : 0;
    return value;
  }
  static Value integer(int64_t i) {
    Value value(Kind::kInt);
    value.as_.integer = i;
    return value;
  }
  static Value real(double d) {
    Value value(Kind::kFloat);
    value.as_.real = d;
    return value;
  }
  explicit Value(const String* s) : kind_(Kind::kString) { as_.string = s; }
  explicit Value(List* l) : kind_(Kind::kList) { as_.list = l; }
  explicit Value(Dict* d) : kind_(Kind::kDict) { as_.dict = d; }
  explicit Value(Object* o) : kind_(Kind::kObject) { as_.object = o; }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }
  bool is_markup() const { return is(Kind::kString) && as_.string->markup == Markup::kSafe; }
  Markup markup() const { return is_markup() ? Markup::kSafe : Markup::kPlain; }

  // Each is valid for its own kind only; integer() also for kBool, number() for all numbers.
  bool boolean() const { return as_.integer != 0; }
  int64_t integer() const { return as_.integer; }
  double number() const { return is(Kind::kFloat) ? as_.real : static_cast<double>(as_.integer); }
  const std::string& text() const { return as_.string->text; }
  List& list() const { return *as_.list; }
  Dict& dict() const { return *as_.dict; }
  Object& object() const { return *as_.object; }
  const String* reason() const { return as_.reason; }
  // The same cell, or the same small value: Python's `is`.
  bool same(const Value& other) const {
    return kind_ == other.kind_ && as_.integer == other.as_.integer;
  }

 private:
  explicit Value(Kind kind) : kind_(kind) { as_.integer = 0; }

  Kind kind_;
  union {
    int64_t integer;
    double real;
    const String* string;
    List* list;
    Dict* dict;
    Object* object;
    const String* reason;
  } as_;
};

struct List final : Cell {
  Form form = Form::kList;
  std::vector<Value> items;
  size_t consumed = 0;                    // of a generator: items that were already read
  int64_t start = 0, stop = 0, step = 1;  // of a range, for its repr
};

// Keys in insertion order. Lookup is linear while small, by hash beyond that.
struct Dict final : Cell {
  std::vector<std::pair<Value, Value>> entries;
  std::unordered_multimap<size_t, uint32_t> by_hash;

  const Value* find(Runtime& runtime, const Value& key) const;
  const Value* find(std::string_view key) const;
  // Replaces the value of an equal key, or adds the pair at the end.
  void put(Runtime& runtime, const Value& key, const Value& value);

 private:
  size_t position(Runtime& runtime, const Value& key) const;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

using Function = Value (*)(Runtime&, Arguments&);

}  // namespace hearth::tokenizer::jinja
