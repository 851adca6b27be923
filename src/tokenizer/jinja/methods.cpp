// Methods of str, list, tuple, dict and the numbers: those that change nothing.
#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

class FunctionObject final : public Object {
 public:
  explicit FunctionObject(Function function) : function_(function) {}
  std::string_view type_name() const override { return "function"; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    runtime.step();
    return function_(runtime, arguments);
  }

 private:
  const Function function_;
};

class BoundMethod final : public Object {
 public:
  BoundMethod(Function function, const Value& self) : function_(function), self_(self) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    runtime.step();
    if (self_.is(Kind::kString)) runtime.scan(self_.text().size());
    arguments.positional.insert(arguments.positional.begin(), self_);
    return function_(runtime, arguments);
  }

 private:
  const Function function_;
  const Value self_;
};

// ---- str

template <std::string (*kMap)(std::string_view)>
Value map_text(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "str method", {"self"}, 1);
  runtime.will_allocate(2 * b[0].text().size());
  return runtime.string(kMap(b[0].text()), b[0].markup());
}

std::string swap_case(std::string_view text) {
  std::string out;
  for (char32_t c : decode_utf8(text)) {
    std::string one;
    append_utf8(one, c);
    out += is_upper(c) ? to_lower(one) : is_lower(c) ? to_upper(one) : one;
  }
  return out;
}

template <Side kSide>
Value strip(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "strip", {"self", "chars"}, 1);
  const std::string& text = b[0].text();
  const bool spaces = !b.has(1) || b[1].is(Kind::kNone);
  return runtime.string(
      std::string(spaces ? strip_space(text, kSide) : strip_points(text, b.text(1, ""), kSide)),
      b[0].markup());
}

Value pieces(Runtime& runtime, const Value& self, const std::vector<std::string_view>& parts) {
  List* out = runtime.list();
  for (std::string_view part : parts) {
    runtime.append(*out, runtime.string(std::string(part), self.markup()));
  }
  return Value(out);
}

std::vector<std::string_view> split_space(std::string_view text, int64_t count) {
  std::vector<std::string_view> out;
  text = strip_space(text, Side::kLeft);
  while (!text.empty()) {
    if (count-- == 0) {
      out.push_back(text);
      break;
    }
    size_t end = 0, bytes = 0;
    while (end < text.size() && !is_space(first_point(text.substr(end), &bytes))) end += bytes;
    out.push_back(text.substr(0, end));
    text = strip_space(text.substr(end), Side::kLeft);
  }
  return out;
}

std::vector<std::string_view> rsplit_space(std::string_view text, int64_t count) {
  std::vector<std::string_view> words = split_space(text, -1);
  if (count < 0 || static_cast<size_t>(count) >= words.size()) return words;
  const size_t keep = words.size() - static_cast<size_t>(count);
  const std::string_view last = words[keep - 1];
  words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(keep));
  words.insert(words.begin(),
               text.substr(0, static_cast<size_t>(last.data() + last.size() - text.data())));
  return words;
}

std::vector<std::string_view> split_on(std::string_view text, std::string_view by, int64_t count) {
  std::vector<std::string_view> out;
  for (size_t from = 0;;) {
    const size_t hit = count == 0 ? std::string_view::npos : find_text(text, by, from);
    if (hit == std::string_view::npos) {
      out.push_back(text.substr(from));
      return out;
    }
    out.push_back(text.substr(from, hit - from));
    from = hit + by.size();
    --count;
  }
}

// Right to left, in one pass over a reversed copy so that overlaps count from the right.
std::vector<std::string_view> rsplit_on(std::string_view text, std::string_view by, int64_t count) {
  const std::string reversed(text.rbegin(), text.rend());
  const std::string reversed_by(by.rbegin(), by.rend());
  std::vector<std::string_view> out;
  for (std::string_view part : split_on(reversed, reversed_by, count)) {
    const auto offset = static_cast<size_t>(part.data() - reversed.data());
    out.push_back(text.substr(text.size() - offset - part.size(), part.size()));
  }
  std::reverse(out.begin(), out.end());
  return out;
}

enum class From { kLeft, kRight };

template <From kFrom>
Value split(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "split", {"self", "sep", "maxsplit"}, 1);
  const std::string& text = b[0].text();
  const int64_t count = b.integer(2, -1);
  if (!b.has(1) || b[1].is(Kind::kNone)) {
    return pieces(runtime, b[0],
                  kFrom == From::kLeft ? split_space(text, count) : rsplit_space(text, count));
  }
  const std::string by = b.text(1, "");
  if (by.empty()) runtime.fail("empty separator");
  return pieces(runtime, b[0],
                kFrom == From::kLeft ? split_on(text, by, count) : rsplit_on(text, by, count));
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

Value splitlines(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "splitlines", {"self", "keepends"}, 1);
  const std::string_view text = b[0].text();
  std::vector<std::string_view> out;
  for (size_t start = 0, i = 0; start < text.size();) {
    size_t bytes = 1;
    while (i < text.size() && !is_line_break(first_point(text.substr(i), &bytes))) i += bytes;
    size_t next = std::min(i + (i < text.size() ? bytes : 0), text.size());
    if (next < text.size() && text[i] == '\r' && text[next] == '\n') ++next;
    out.push_back(text.substr(start, (b.truth(1, false) ? next : i) - start));
    start = i = next;
  }
  return pieces(runtime, b[0], out);
}

// The part of self that [start, end) of a method's arguments names, counted in code points.
struct Window {
  std::string_view text;
  int64_t start;
  bool valid;
};

Window window(const Bound& b, size_t start_at) {
  const std::string_view text = b[0].text();
  const bool whole = !b.has(start_at) && !b.has(start_at + 1);
  if (whole) return {text, 0, true};
  const auto count = static_cast<int64_t>(length_utf8(text));
  const auto index = [&](size_t i, int64_t fallback) {
    if (!b.has(i) || b[i].is(Kind::kNone)) return fallback;
    const int64_t v = b.integer(i, fallback);
    return v < 0 ? std::max<int64_t>(v + count, 0) : v;
  };
  const int64_t start = index(start_at, 0);
  const int64_t end = std::min(index(start_at + 1, count), count);
  if (start > end) return {{}, start, false};
  const size_t first = offset_utf8(text, static_cast<size_t>(start));
  const size_t last = offset_utf8(text, static_cast<size_t>(end));
  return {text.substr(first, last - first), start, true};
}

enum class Edge { kStart, kEnd };

template <Edge kEdge>
Value has_edge(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, kEdge == Edge::kStart ? "startswith" : "endswith",
                {"self", "prefix", "start", "end"}, 2);
  const Window w = window(b, 2);
  const auto matches = [&](const Value& part) {
    if (!part.is(Kind::kString)) {
      runtime.fail("{} first arg must be str or a tuple of str, not {}",
                   kEdge == Edge::kStart ? "startswith" : "endswith", type_name(part));
    }
    if (!w.valid) return false;
    return kEdge == Edge::kStart ? w.text.starts_with(part.text()) : w.text.ends_with(part.text());
  };
  if (b[1].is(Kind::kList) && b[1].list().form == Form::kTuple) {
    const auto& parts = b[1].list().items;
    return Value::boolean(std::any_of(parts.begin(), parts.end(), matches));
  }
  return Value::boolean(matches(b[1]));
}

template <From kFrom>
int64_t position(const Bound& b) {
  const Window w = window(b, 2);
  const std::string needle = b.text(1, "");
  if (!w.valid) return -1;
  const size_t hit = kFrom == From::kLeft ? find_text(w.text, needle) : rfind_text(w.text, needle);
  if (hit == std::string_view::npos) return -1;
  return w.start + static_cast<int64_t>(length_utf8(w.text.substr(0, hit)));
}

template <From kFrom>
Value find(Runtime& runtime, Arguments& a) {
  return Value::integer(
      position<kFrom>(Bound(runtime, a, "find", {"self", "sub", "start", "end"}, 2)));
}

template <From kFrom>
Value index(Runtime& runtime, Arguments& a) {
  const int64_t at =
      position<kFrom>(Bound(runtime, a, "index", {"self", "sub", "start", "end"}, 2));
  if (at < 0) runtime.fail("substring not found");
  return Value::integer(at);
}

Value count(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "count", {"self", "sub", "start", "end"}, 2);
  const Window w = window(b, 2);
  const std::string needle = b.text(1, "");
  if (!w.valid) return Value::integer(0);
  if (needle.empty()) return Value::integer(static_cast<int64_t>(length_utf8(w.text)) + 1);
  return Value::integer(static_cast<int64_t>(split_on(w.text, needle, -1).size()) - 1);
}

Value replace(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "replace", {"self", "old", "new", "count"}, 3);
  const std::string old_text = b.text(1, "");
  std::string new_text = b.text(2, "");
  if (b[0].is_markup() && !b[2].is_markup()) new_text = escape_html(new_text);
  const std::string& text = b[0].text();
  const size_t hits = old_text.empty() ? text.size() + 1 : text.size() / old_text.size();
  if (new_text.size() > old_text.size()) runtime.will_allocate(text.size() + hits);
  uint64_t real_hits = old_text.empty() ? hits : 0;
  for (size_t at = 0; !old_text.empty();) {
    at = find_text(text, old_text, at);
    if (at == std::string::npos) break;
    ++real_hits;
    at += old_text.size();
  }
  runtime.will_allocate(text.size() + real_hits * new_text.size());
  return runtime.string(replace_text(text, old_text, new_text, b.integer(3, -1)), b[0].markup());
}

Value join(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "join", {"self", "iterable"}, 2);
  const std::vector<Value> items = iterate(runtime, b[1]);
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is(Kind::kString)) {
      runtime.fail("sequence item {}: expected str instance, {} found", i, type_name(items[i]));
    }
    if (i > 0) out += b[0].text();
    out += items[i].text();
    runtime.will_allocate(out.size());
  }
  return runtime.string(std::move(out), b[0].markup());
}

Value format(Runtime& runtime, Arguments& a) {
  Arguments rest{{a.positional.begin() + 1, a.positional.end()}, a.named};
  const Markup markup = a.positional[0].markup();
  return runtime.string(brace_format(runtime, a.positional[0].text(), rest, markup), markup);
}

template <bool (*kTest)(std::u32string_view)>
Value test_text(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "str method", {"self"}, 1);
  return Value::boolean(kTest(decode_utf8(b[0].text())));
}

template <bool (*kPoint)(char32_t)>
bool all_points(std::u32string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), kPoint);
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c); }
bool is_ascii_text(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; });
}
bool is_printable_text(std::u32string_view text) {
  return std::all_of(text.begin(), text.end(), is_printable);
}
bool is_lower_text(std::u32string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char32_t c) { return is_upper(c) || is_title(c); }) &&
         std::any_of(text.begin(), text.end(), is_lower);
}
bool is_upper_text(std::u32string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char32_t c) { return is_lower(c) || is_title(c); }) &&
         std::any_of(text.begin(), text.end(), is_upper);
}
bool is_title_text(std::u32string_view text) {
  bool in_word = false, any = false;
  for (char32_t c : text) {
    const bool big = is_upper(c) || is_title(c);
    if (big ? in_word : is_lower(c) && !in_word) return false;
    in_word = big || is_lower(c);
    any |= in_word;
  }
  return any;
}
bool is_identifier(std::u32string_view text) {
  const auto starts = [](char32_t c) { return c == '_' || is_alpha(c); };
  return !text.empty() && starts(text[0]) && std::all_of(text.begin(), text.end(), [&](char32_t c) {
    return starts(c) || is_decimal(c);
  });
}

template <From kFrom>
Value partition(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "partition", {"self", "sep"}, 2);
  const std::string_view text = b[0].text();
  const std::string by = b.text(1, "");
  if (by.empty()) runtime.fail("empty separator");
  const size_t hit = kFrom == From::kLeft ? find_text(text, by) : rfind_text(text, by);
  const auto part = [&](std::string_view piece) { return runtime.string(std::string(piece)); };
  if (hit == std::string_view::npos) {
    return kFrom == From::kLeft ? runtime.list({part(text), part(""), part("")}, Form::kTuple)
                                : runtime.list({part(""), part(""), part(text)}, Form::kTuple);
  }
  return runtime.list({part(text.substr(0, hit)), part(by), part(text.substr(hit + by.size()))},
                      Form::kTuple);
}

template <Edge kEdge>
Value remove_edge(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "removeprefix", {"self", "prefix"}, 2);
  std::string_view text = b[0].text();
  const std::string part = b.text(1, "");
  if (kEdge == Edge::kStart && text.starts_with(part)) text.remove_prefix(part.size());
  if (kEdge == Edge::kEnd && text.ends_with(part)) text.remove_suffix(part.size());
  return runtime.string(std::string(text), b[0].markup());
}

enum class Justify { kLeft, kRight, kCenter, kZero };

template <Justify kHow>
Value justify(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "justify", {"self", "width", "fillchar"}, 2);
  const std::string& text = b[0].text();
  const std::string fill = kHow == Justify::kZero ? "0" : b.text(2, " ");
  if (length_utf8(fill) != 1) {
    runtime.fail("The fill character must be exactly one character long");
  }
  const int64_t width = b.integer(1, 0);
  const int64_t missing = width - static_cast<int64_t>(length_utf8(text));
  if (missing <= 0) return b[0];
  runtime.will_allocate(text.size() + static_cast<uint64_t>(missing) * fill.size());
  // CPython puts the odd fill on the left only when the width is odd.
  const int64_t left = kHow == Justify::kLeft     ? 0
                       : kHow == Justify::kCenter ? missing / 2 + (missing & width & 1)
                                                  : missing;
  std::string before, after;
  for (int64_t i = 0; i < missing; ++i) (i < left ? before : after) += fill;
  const bool sign = kHow == Justify::kZero && !text.empty() && (text[0] == '-' || text[0] == '+');
  if (sign) return runtime.string(text[0] + before + text.substr(1));
  return runtime.string(before + text + after, b[0].markup());
}

Value expandtabs(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "expandtabs", {"self", "tabsize"}, 1);
  const int64_t size = std::clamp<int64_t>(b.integer(1, 8), 0, 1024);
  std::string out;
  int64_t column = 0;
  for (char c : b[0].text()) {
    if (c == '\t') {
      const int64_t spaces = size == 0 ? 0 : size - column % size;
      out.append(static_cast<size_t>(spaces), ' ');
      column += spaces;
      runtime.will_allocate(out.size());
      continue;
    }
    out += c;
    column = c == '\n' || c == '\r' ? 0 : column + ((c & 0xC0) != 0x80 ? 1 : 0);
  }
  return runtime.string(std::move(out), b[0].markup());
}

// ---- dict and list

template <Form kForm>
Value dict_view(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "dict view", {"self"}, 1);
  List* out = runtime.list(kForm);
  for (const auto& [key, value] : b[0].dict().entries) {
    runtime.step();
    runtime.append(*out, kForm == Form::kKeys     ? key
                         : kForm == Form::kValues ? value
                                                  : runtime.list({key, value}, Form::kTuple));
  }
  return Value(out);
}

Value dict_get(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "get", {"self", "key", "default"}, 2);
  const Value* found = b[0].dict().find(runtime, b[1]);
  return found != nullptr ? *found : b.get(2, Value::none());
}

Value dict_copy(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "copy", {"self"}, 1);
  Dict* out = runtime.dict();
  for (const auto& [key, value] : b[0].dict().entries) out->put(runtime, key, value);
  return Value(out);
}

Value list_copy(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "copy", {"self"}, 1);
  return runtime.list(b[0].list().items);
}

Value list_count(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "count", {"self", "value"}, 2);
  int64_t found = 0;
  for (const Value& item : b[0].list().items) {
    runtime.step();
    found += equals(runtime, item, b[1]) ? 1 : 0;
  }
  return Value::integer(found);
}

Value list_index(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "index", {"self", "value"}, 2);
  const auto& items = b[0].list().items;
  for (size_t i = 0; i < items.size(); ++i) {
    runtime.step();
    if (equals(runtime, items[i], b[1])) return Value::integer(static_cast<int64_t>(i));
  }
  runtime.fail("{} is not in list", repr(runtime, b[1]));
}

Value is_integer(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "is_integer", {"self"}, 1);
  return Value::boolean(std::floor(b[0].number()) == b[0].number());
}

struct Method {
  std::string_view name;
  Function function;
};

constexpr Method kStringMethods[] = {
    {"capitalize", map_text<to_capitalized>},
    {"casefold", map_text<to_lower>},
    {"center", justify<Justify::kCenter>},
    {"count", count},
    {"endswith", has_edge<Edge::kEnd>},
    {"expandtabs", expandtabs},
    {"find", find<From::kLeft>},
    {"format", format},
    {"index", index<From::kLeft>},
    {"isalnum", test_text<all_points<is_alnum>>},
    {"isalpha", test_text<all_points<is_alpha>>},
    {"isascii", test_text<is_ascii_text>},
    {"isdecimal", test_text<all_points<is_decimal>>},
    {"isdigit", test_text<all_points<is_digit>>},
    {"isidentifier", test_text<is_identifier>},
    {"islower", test_text<is_lower_text>},
    {"isnumeric", test_text<all_points<is_numeric>>},
    {"isprintable", test_text<is_printable_text>},
    {"isspace", test_text<all_points<is_space>>},
    {"istitle", test_text<is_title_text>},
    {"isupper", test_text<is_upper_text>},
    {"join", join},
    {"ljust", justify<Justify::kLeft>},
    {"lower", map_text<to_lower>},
    {"lstrip", strip<Side::kLeft>},
    {"partition", partition<From::kLeft>},
    {"removeprefix", remove_edge<Edge::kStart>},
    {"removesuffix", remove_edge<Edge::kEnd>},
    {"replace", replace},
    {"rfind", find<From::kRight>},
    {"rindex", index<From::kRight>},
    {"rjust", justify<Justify::kRight>},
    {"rpartition", partition<From::kRight>},
    {"rsplit", split<From::kRight>},
    {"rstrip", strip<Side::kRight>},
    {"split", split<From::kLeft>},
    {"splitlines", splitlines},
    {"startswith", has_edge<Edge::kStart>},
    {"strip", strip<Side::kBoth>},
    {"swapcase", map_text<swap_case>},
    {"title", map_text<to_title>},
    {"upper", map_text<to_upper>},
    {"zfill", justify<Justify::kZero>},
};

constexpr Method kDictMethods[] = {
    {"copy", dict_copy},
    {"get", dict_get},
    {"items", dict_view<Form::kItems>},
    {"keys", dict_view<Form::kKeys>},
    {"values", dict_view<Form::kValues>},
};

constexpr Method kListMethods[] = {
    {"copy", list_copy}, {"count", list_count}, {"index", list_index}};
constexpr Method kTupleMethods[] = {{"count", list_count}, {"index", list_index}};
constexpr Method kFloatMethods[] = {{"is_integer", is_integer}};

template <typename Table>
bool find_in(Runtime& runtime, const Table& table, const Value& self, std::string_view name,
             Value& out) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const Method& method) { return method.name == name; });
  if (found == std::end(table)) return false;
  out = make_method(runtime, found->function, self);
  return true;
}

}  // namespace

Value make_function(Runtime& runtime, Function function) {
  return Value(runtime.make<FunctionObject>(function));
}

Value make_method(Runtime& runtime, Function function, const Value& self) {
  return Value(runtime.make<BoundMethod>(function, self));
}

bool find_method(Runtime& runtime, const Value& self, std::string_view name, Value& out) {
  switch (self.kind()) {
    case Kind::kString:
      return find_in(runtime, kStringMethods, self, name, out);
    case Kind::kDict:
      return find_in(runtime, kDictMethods, self, name, out);
    case Kind::kFloat:
      return find_in(runtime, kFloatMethods, self, name, out);
    case Kind::kList:
      if (self.list().form == Form::kList) return find_in(runtime, kListMethods, self, name, out);
      if (self.list().form == Form::kTuple || self.list().form == Form::kRange) {
        return find_in(runtime, kTupleMethods, self, name, out);
      }
      return false;
    default:
      return false;
  }
}

}  // namespace hearth::tokenizer::jinja
