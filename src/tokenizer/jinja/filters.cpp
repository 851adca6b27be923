// Filters on single values.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/json_text.h"
#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

template <std::string (*kMap)(std::string_view)>
Value filter_text(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "filter", {"s"}, 1);
  const std::string text = str(runtime, b[0]);
  runtime.scan(text.size());
  return runtime.string(kMap(text), b[0].markup());
}

// The title filter starts words after white space, hyphens and opening brackets only.
std::string title_words(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t end = 0, bytes = 0;
    const auto breaks = [&](std::string_view rest) {
      const char32_t c = first_point(rest, &bytes);
      return is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    };
    while (end < text.size() && !breaks(text.substr(end))) end += bytes;
    if (end > 0) {
      const size_t first = offset_utf8(text, 1);
      out += to_upper(text.substr(0, first));
      out += to_lower(text.substr(first, end - first));
    }
    text.remove_prefix(end);
    if (text.empty()) break;
    breaks(text);
    out += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

Value filter_default(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "default", {"value", "default_value", "boolean"}, 1);
  const bool replace = b[0].is(Kind::kUndefined) || (b.truth(2, false) && !truth(b[0]));
  return replace ? b.get(1, runtime.string("")) : b[0];
}

Value filter_length(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "length", {"value"}, 1);
  return Value::integer(length(runtime, b[0]));
}

Value filter_trim(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "trim", {"value", "chars"}, 1);
  const std::string text = str(runtime, b[0]);
  const bool spaces = !b.has(1) || b[1].is(Kind::kNone);
  const std::string_view out =
      spaces ? strip_space(text, Side::kBoth) : strip_points(text, b.text(1, ""), Side::kBoth);
  return runtime.string(std::string(out), b[0].markup());
}

Value filter_tojson(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "tojson",
                {"value", "ensure_ascii", "indent", "separators", "sort_keys"}, 1);
  JsonStyle style;
  style.ascii = b.truth(1, false);
  style.sort_keys = b.truth(4, false);
  if (b.has(2) && !b[2].is(Kind::kNone)) {
    style.pretty = true;
    style.indent =
        b[2].is(Kind::kString)
            ? b[2].text()
            : std::string(static_cast<size_t>(std::clamp<int64_t>(b.integer(2, 0), 0, 1024)), ' ');
    style.item_separator = ",";
  }
  if (b.has(3) && !b[3].is(Kind::kNone)) {
    const std::vector<Value> parts = iterate(runtime, b[3]);
    if (parts.size() != 2 || !parts[0].is(Kind::kString) || !parts[1].is(Kind::kString)) {
      runtime.fail("tojson(): separators must be two strings");
    }
    style.item_separator = parts[0].text();
    style.key_separator = parts[1].text();
  }
  require_defined(runtime, b[0]);
  return runtime.string(json_text(runtime, b[0], style));
}

Value filter_string(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "string", {"value"}, 1);
  return b[0].is(Kind::kString) ? b[0] : runtime.string(str(runtime, b[0]));
}

// int("12") as Python parses it: surrounding space, a sign, single underscores.
bool parse_int(std::string_view text, int base, int64_t& out) {
  text = strip_space(text, Side::kBoth);
  std::string digits;
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto prefix = [&](char lower) {
    return text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == lower;
  };
  if ((base == 16 && prefix('x')) || (base == 8 && prefix('o')) || (base == 2 && prefix('b'))) {
    text.remove_prefix(2);
  }
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || text[i - 1] == '_') {
      return false;
    }
  }
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return false;
  if (negative) digits.insert(0, 1, '-');
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), out, base);
  return result.ec == std::errc() && result.ptr == digits.data() + digits.size();
}

bool parse_float(std::string_view text, double& out) {
  std::string digits(strip_space(text, Side::kBoth));
  std::erase(digits, '_');
  if (!digits.empty() && digits[0] == '+') digits.erase(0, 1);
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return result.ec == std::errc() && result.ptr == digits.data() + digits.size();
}

bool fits_int(double value) { return std::fabs(value) < 9.2e18; }

Value filter_int(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "int", {"value", "default", "base"}, 1);
  const Value fallback = b.get(1, Value::integer(0));
  int64_t number = 0;
  double real = 0;
  switch (b[0].kind()) {
    case Kind::kInt:
    case Kind::kBool:
      return Value::integer(b[0].integer());
    case Kind::kFloat:
      return fits_int(b[0].number()) ? Value::integer(static_cast<int64_t>(b[0].number()))
                                     : fallback;
    case Kind::kString:
      if (parse_int(b[0].text(), static_cast<int>(std::clamp<int64_t>(b.integer(2, 10), 2, 36)),
                    number)) {
        return Value::integer(number);
      }
      if (parse_float(b[0].text(), real) && fits_int(real)) {
        return Value::integer(static_cast<int64_t>(real));
      }
      return fallback;
    case Kind::kUndefined:
      fail_undefined(runtime, b[0]);
    default:
      return fallback;
  }
}

Value filter_float(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "float", {"value", "default"}, 1);
  if (b[0].is_number()) return Value::real(b[0].number());
  require_defined(runtime, b[0]);
  double real = 0;
  if (b[0].is(Kind::kString) && parse_float(b[0].text(), real)) return Value::real(real);
  return b.get(1, Value::real(0.0));
}

Value filter_abs(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "abs", {"x"}, 1);
  require_defined(runtime, b[0]);
  if (b[0].is(Kind::kFloat)) return Value::real(std::fabs(b[0].number()));
  if (!b[0].is_integral()) runtime.fail("bad operand type for abs(): '{}'", type_name(b[0]));
  return b[0].integer() < 0 ? negate(runtime, b[0]) : Value::integer(b[0].integer());
}

// Half to even on the decimal value, as round() does.
double round_digits(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(value / scale) * scale;
  }
  const std::string text = fmt::format("{:.{}f}", value, digits);
  double out = value;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

Value filter_round(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "round", {"value", "precision", "method"}, 1);
  require_defined(runtime, b[0]);
  const std::string method = b.text(2, "common");
  const int64_t digits = std::clamp<int64_t>(b.integer(1, 0), -300, 301);
  if (!b[0].is_number()) {
    runtime.fail("type {} doesn't define __round__ method", type_name(b[0]));
  }
  if (method == "common") {
    if (b[0].is_integral()) {
      return digits >= 0
                 ? Value::integer(b[0].integer())
                 : Value::integer(static_cast<int64_t>(round_digits(b[0].number(), digits)));
    }
    return Value::real(round_digits(b[0].number(), digits));
  }
  if (method != "ceil" && method != "floor") {
    runtime.fail("method must be common, ceil or floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = b[0].number() * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value filter_replace(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "replace", {"s", "old", "new", "count"}, 3);
  Value method;
  const Value text = b[0].is(Kind::kString) ? b[0] : runtime.string(str(runtime, b[0]));
  find_method(runtime, text, "replace", method);
  Arguments arguments;
  for (size_t i : {1u, 2u}) {
    arguments.positional.push_back(b[i].is(Kind::kString) ? b[i]
                                                          : runtime.string(str(runtime, b[i])));
  }
  if (b.has(3) && !b[3].is(Kind::kNone)) arguments.positional.push_back(b[3]);
  return call(runtime, method, arguments);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\n\r\v\f"), text.size());
    out.push_back(text.substr(0, end));
    const size_t eaten = text.substr(end).starts_with("\r\n") ? 2 : 1;
    text.remove_prefix(std::min(end + eaten, text.size()));
  }
  return out;
}

Value filter_indent(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "indent", {"s", "width", "first", "blank"}, 1);
  const std::string margin =
      b.has(1) && b[1].is(Kind::kString)
          ? b[1].text()
          : std::string(static_cast<size_t>(std::clamp<int64_t>(b.integer(1, 4), 0, 4096)), ' ');
  const std::string text = str(runtime, b[0]) + "\n";
  std::string out;
  const std::vector<std::string_view> lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    runtime.step();
    if (i > 0) out += '\n';
    const bool wanted = i == 0 ? b.truth(2, false) : !lines[i].empty() || b.truth(3, false);
    if (wanted) out += margin;
    out += lines[i];
    runtime.will_allocate(out.size());
  }
  return runtime.string(std::move(out), b[0].markup());
}

Value filter_safe(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "safe", {"value"}, 1);
  return b[0].is_markup() ? b[0] : runtime.string(str(runtime, b[0]), Markup::kSafe);
}

Value filter_escape(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "escape", {"value"}, 1);
  if (b[0].is_markup()) return b[0];
  return runtime.string(escape_html(str(runtime, b[0])), Markup::kSafe);
}

Value filter_forceescape(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "forceescape", {"value"}, 1);
  return runtime.string(escape_html(str(runtime, b[0])), Markup::kSafe);
}

Value filter_format(Runtime& runtime, Arguments& a) {
  if (a.positional.empty()) runtime.fail("format() misses its argument 'value'");
  const std::string format = str(runtime, a.positional[0]);
  if (!a.named.empty() && a.positional.size() > 1) {
    runtime.fail("format() can't handle positional and keyword arguments at the same time");
  }
  const Markup markup = a.positional[0].markup();
  if (a.named.empty()) {
    const Value values = runtime.list({a.positional.begin() + 1, a.positional.end()}, Form::kTuple);
    return runtime.string(percent_format(runtime, format, values, markup), markup);
  }
  Dict* values = runtime.dict();
  for (const auto& [name, value] : a.named) {
    values->put(runtime, runtime.string(std::string(name)), value);
  }
  return runtime.string(percent_format(runtime, format, Value(values), markup), markup);
}

Value filter_wordcount(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "wordcount", {"s"}, 1);
  int64_t words = 0;
  bool inside = false;
  for (char32_t c : decode_utf8(str(runtime, b[0]))) {
    const bool word = c == '_' || is_alpha(c) || is_numeric(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(words);
}

Value filter_center(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "center", {"value", "width"}, 1);
  Value method;
  find_method(runtime, runtime.string(str(runtime, b[0])), "center", method);
  Arguments arguments{{b.get(1, Value::integer(80))}, {}};
  return call(runtime, method, arguments);
}

Value filter_attr(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "attr", {"obj", "name"}, 2);
  // Only attributes proper: never the items of a dict.
  if (b[0].is(Kind::kDict)) {
    Value method;
    const std::string name = b.text(1, "");
    if (find_method(runtime, b[0], name, method)) return method;
    return runtime.undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return attribute(runtime, b[0], b.text(1, ""));
}

Value filter_truncate(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "truncate", {"s", "length", "killwords", "end", "leeway"}, 1);
  const std::string text = str(runtime, b[0]);
  const int64_t limit = b.integer(1, 255);
  const std::string end = b.text(3, "...");
  const auto end_points = static_cast<int64_t>(length_utf8(end));
  if (limit < end_points) runtime.fail("expected length >= {}, got {}", end_points, limit);
  const int64_t leeway = b.has(4) && !b[4].is(Kind::kNone) ? b.integer(4, 5) : 5;
  if (static_cast<int64_t>(length_utf8(text)) <= limit + leeway) return runtime.string(text);
  std::string cut = text.substr(0, offset_utf8(text, static_cast<size_t>(limit - end_points)));
  if (!b.truth(2, false)) cut = cut.substr(0, cut.rfind(' '));
  return runtime.string(cut + end);
}

Value filter_filesizeformat(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "filesizeformat", {"value", "binary"}, 1);
  double bytes = 0;
  if (b[0].is_number()) {
    bytes = b[0].number();
  } else if (!b[0].is(Kind::kString) || !parse_float(b[0].text(), bytes)) {
    runtime.fail("filesizeformat(): expected a number");
  }
  const bool binary = b.truth(1, false);
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return runtime.string("1 Byte");
  if (bytes < base) return runtime.string(fmt::format("{} Bytes", static_cast<int64_t>(bytes)));
  static constexpr std::string_view kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr std::string_view kBinary[] = {"KiB", "MiB", "GiB", "TiB",
                                                 "PiB", "EiB", "ZiB", "YiB"};
  double unit = base;
  size_t i = 0;
  for (; i < 7 && bytes >= unit * base; ++i) unit *= base;
  return runtime.string(fmt::format("{:.1f} {}", bytes / unit, binary ? kBinary[i] : kDecimal[i]));
}

Value filter_striptags(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "striptags", {"value"}, 1);
  std::string kept;
  bool inside = false;
  for (char c : str(runtime, b[0])) {
    if (c == '<') inside = true;
    if (!inside) kept += c;
    if (c == '>') inside = false;
  }
  std::string out;
  bool space = false;
  for (std::string_view rest = strip_space(kept, Side::kBoth); !rest.empty();) {
    size_t bytes = 0;
    const bool is_gap = is_space(first_point(rest, &bytes));
    if (!is_gap) out += (space ? " " : "") + std::string(rest.substr(0, bytes));
    space = is_gap;
    rest.remove_prefix(bytes);
  }
  return runtime.string(out);
}

std::string url_quote(std::string_view text, std::string_view safe) {
  std::string out;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos ||
                       safe.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Value filter_urlencode(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "urlencode", {"value"}, 1);
  if (!b[0].is(Kind::kDict)) {
    return runtime.string(url_quote(str(runtime, b[0]), "/"));
  }
  std::string out;
  for (const auto& [key, value] : b[0].dict().entries) {
    if (!out.empty()) out += '&';
    out += url_quote(str(runtime, key), " ") + "=" + url_quote(str(runtime, value), " ");
  }
  std::replace(out.begin(), out.end(), ' ', '+');
  return runtime.string(out);
}

constexpr NamedFunction kFilters[] = {
    {"abs", filter_abs},
    {"attr", filter_attr},
    {"capitalize", filter_text<to_capitalized>},
    {"center", filter_center},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"filesizeformat", filter_filesizeformat},
    {"float", filter_float},
    {"forceescape", filter_forceescape},
    {"format", filter_format},
    {"indent", filter_indent},
    {"int", filter_int},
    {"length", filter_length},
    {"lower", filter_text<to_lower>},
    {"replace", filter_replace},
    {"round", filter_round},
    {"safe", filter_safe},
    {"string", filter_string},
    {"striptags", filter_striptags},
    {"title", filter_text<title_words>},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", filter_text<to_upper>},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
};

}  // namespace

Function find_filter(std::string_view name) {
  const Function found = find_function(kFilters, name);
  return found ? found : find_sequence_filter(name);
}

Value apply_filter(Runtime& runtime, std::string_view name, Arguments& arguments) {
  const Function filter = find_filter(name);
  if (filter == nullptr) runtime.fail("No filter named '{}'", name);
  runtime.step();
  return filter(runtime, arguments);
}

}  // namespace hearth::tokenizer::jinja
