// str(), repr(), the % operator and str.format, as Python words them.
#include <charconv>
#include <cmath>
#include <optional>

#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

constexpr size_t kWidthMax = 1 << 20;

std::string string_repr(std::string_view text) {
  const char quote =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"'
                                                                                            : '\'';
  std::string out(1, quote);
  while (!text.empty()) {
    size_t bytes = 0;
    const char32_t c = first_point(text, &bytes);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      out += text.substr(0, bytes);
    } else if (c < 0x100) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    } else {
      out += fmt::format("\\U{:08x}", static_cast<uint32_t>(c));
    }
    text.remove_prefix(bytes);
  }
  return out + quote;
}

std::string join_repr(Runtime& runtime, const std::vector<Value>& items) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    runtime.step();
    if (i > 0) out += ", ";
    out += repr(runtime, items[i]);
    runtime.will_allocate(out.size());
  }
  return out;
}

std::string list_repr(Runtime& runtime, const List& list) {
  const Nesting nesting(runtime);
  switch (list.form) {
    case Form::kRange:
      return list.step == 1 ? fmt::format("range({}, {})", list.start, list.stop)
                            : fmt::format("range({}, {}, {})", list.start, list.stop, list.step);
    case Form::kGenerator:
      return "<generator object>";
    case Form::kTuple:
    case Form::kGroup:
      return "(" + join_repr(runtime, list.items) + (list.items.size() == 1 ? ",)" : ")");
    case Form::kList:
      return "[" + join_repr(runtime, list.items) + "]";
    case Form::kKeys:
      return "dict_keys([" + join_repr(runtime, list.items) + "])";
    case Form::kValues:
      return "dict_values([" + join_repr(runtime, list.items) + "])";
    case Form::kItems:
      return "dict_items([" + join_repr(runtime, list.items) + "])";
  }
  return {};
}

std::string dict_repr(Runtime& runtime, const Dict& dict) {
  const Nesting nesting(runtime);
  std::string out = "{";
  for (size_t i = 0; i < dict.entries.size(); ++i) {
    runtime.step();
    if (i > 0) out += ", ";
    out += repr(runtime, dict.entries[i].first) + ": " + repr(runtime, dict.entries[i].second);
    runtime.will_allocate(out.size());
  }
  return out + "}";
}

// Both mini languages of formatting come down to this.
struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =, or none
  char sign = '-';
  bool alternate = false;
  size_t width = 0;
  char grouping = '\0';
  std::optional<int> precision;
  char type = '\0';
};

void pad(std::string& body, size_t prefix, const Spec& spec, char default_align) {
  const size_t points = length_utf8(body);
  if (points >= spec.width) return;
  const size_t missing = spec.width - points;
  const char align = spec.align == '\0' ? default_align : spec.align;
  const size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string before, after;
  for (size_t i = 0; i < missing; ++i) (i < left ? before : after) += spec.fill;
  if (align == '=') {
    body.insert(prefix, before);
  } else {
    body = before + body + after;
  }
}

void group_digits(std::string& digits, char separator) {
  size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (size_t i = end; i > 3;) {
    i -= 3;
    digits.insert(i, 1, separator);
  }
}

std::string sign_text(bool negative, char sign) {
  if (negative) return "-";
  return sign == '+' ? "+" : sign == ' ' ? " " : "";
}

std::string finish_number(std::string digits, bool negative, const std::string& base_prefix,
                          const Spec& spec) {
  if (spec.grouping != '\0') group_digits(digits, spec.grouping);
  std::string body = sign_text(negative, spec.sign) + base_prefix;
  const size_t prefix = body.size();
  body += digits;
  pad(body, prefix, spec, '>');
  return body;
}

std::string format_integer(int64_t value, const Spec& spec) {
  const bool negative = value < 0;
  const uint64_t magnitude =
      negative ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
  switch (spec.type) {
    case 'x':
      return finish_number(fmt::format("{:x}", magnitude), negative, spec.alternate ? "0x" : "",
                           spec);
    case 'X':
      return finish_number(fmt::format("{:X}", magnitude), negative, spec.alternate ? "0X" : "",
                           spec);
    case 'o':
      return finish_number(fmt::format("{:o}", magnitude), negative, spec.alternate ? "0o" : "",
                           spec);
    case 'b':
      return finish_number(fmt::format("{:b}", magnitude), negative, spec.alternate ? "0b" : "",
                           spec);
    default: {
      std::string digits = std::to_string(magnitude);
      if (spec.precision) {
        while (static_cast<int>(digits.size()) < *spec.precision) digits.insert(0, 1, '0');
      }
      return finish_number(std::move(digits), negative, "", spec);
    }
  }
}

std::string format_real(double value, const Spec& spec) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = negative ? -value : value;
  const int precision = spec.precision.value_or(6);
  std::string digits;
  if (std::isnan(value) || std::isinf(value)) {
    digits = std::isnan(value) ? "nan" : "inf";
  } else if (spec.type == '%') {
    digits = fmt::format("{:.{}f}%", magnitude * 100, precision);
  } else if (spec.type == 'e' || spec.type == 'E') {
    digits = fmt::format("{:.{}e}", magnitude, precision);
  } else if (spec.type == 'f' || spec.type == 'F') {
    digits = fmt::format("{:.{}f}", magnitude, precision);
  } else if (spec.type == '\0' && !spec.precision) {
    digits = float_repr(magnitude);
  } else {
    digits = fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
    if (spec.type == '\0' && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  }
  return finish_number(std::move(digits), negative, "", spec);
}

std::string format_text(std::string_view text, const Spec& spec) {
  std::string body(text);
  if (spec.precision) body.resize(offset_utf8(body, static_cast<size_t>(*spec.precision)));
  pad(body, 0, spec, '<');
  return body;
}

// ---- the % operator

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const Value& arguments, Markup markup)
      : runtime_(runtime), format_(format), arguments_(arguments), markup_(markup) {}

  std::string run() {
    std::string out;
    for (at_ = 0; at_ < format_.size();) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out += format_.substr(at_, percent - at_);
      at_ = percent;
      if (at_ == format_.size()) break;
      ++at_;
      out += conversion();
      runtime_.will_allocate(out.size());
    }
    check_all_used();
    return out;
  }

 private:
  bool is_tuple() const {
    return arguments_.is(Kind::kList) && arguments_.list().form == Form::kTuple;
  }

  void check_all_used() {
    const size_t given = is_tuple() ? arguments_.list().items.size() : 1;
    if (!named_ && !arguments_.is(Kind::kDict) && used_ < given) {
      runtime_.fail("not all arguments converted during string formatting");
    }
  }

  Value next_argument() {
    const size_t i = used_++;
    if (!is_tuple() && i == 0) return arguments_;
    if (is_tuple() && i < arguments_.list().items.size()) return arguments_.list().items[i];
    runtime_.fail("not enough arguments for format string");
  }

  Value named_argument() {
    const size_t end = format_.find(')', at_);
    if (end == std::string_view::npos) runtime_.fail("incomplete format key");
    if (!arguments_.is(Kind::kDict)) runtime_.fail("format requires a mapping");
    const std::string_view key = format_.substr(at_ + 1, end - at_ - 1);
    const Value* found = arguments_.dict().find(key);
    if (found == nullptr) runtime_.fail("the format needs the key '{}'", key);
    at_ = end + 1;
    named_ = true;
    return *found;
  }

  char peek() const {
    if (at_ >= format_.size()) runtime_.fail("incomplete format");
    return format_[at_];
  }

  size_t number() {
    if (peek() == '*') {
      ++at_;
      const Value value = next_argument();
      if (!value.is_integral()) runtime_.fail("* wants int");
      return std::min(static_cast<size_t>(std::abs(value.integer())), kWidthMax);
    }
    size_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min(value * 10 + static_cast<size_t>(format_[at_++] - '0'), kWidthMax);
    }
    return value;
  }

  std::string conversion() {
    std::optional<Value> value;
    if (peek() == '(') value = named_argument();
    Spec spec;
    bool zero = false;
    for (;; ++at_) {
      const char flag = peek();
      if (flag == '-')
        spec.align = '<';
      else if (flag == '+' || (flag == ' ' && spec.sign != '+'))
        spec.sign = flag;
      else if (flag == '#')
        spec.alternate = true;
      else if (flag == '0')
        zero = true;
      else
        break;
    }
    spec.width = number();
    if (peek() == '.') {
      ++at_;
      spec.precision = static_cast<int>(number());
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    spec.type = peek();
    ++at_;
    if (spec.type == '%') return "%";
    if (!value) value = next_argument();
    if (zero && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    return convert(*value, spec);
  }

  std::string convert(const Value& value, Spec spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = spec.type == 's' ? str(runtime_, value) : repr(runtime_, value);
        if (markup_ == Markup::kSafe && !value.is_markup()) text = escape_html(text);
        return plain(std::move(text), spec);
      }
      case 'c':
        if (value.is_integral()) {
          std::string text;
          append_utf8(text, static_cast<char32_t>(value.integer()));
          return plain(std::move(text), spec);
        }
        return plain(str(runtime_, value), spec);
      case 'd':
      case 'i':
      case 'u':
        if (!value.is_number()) {
          require_defined(runtime_, value);
          runtime_.fail("%d format: a real number is required, not {}", type_name(value));
        }
        return format_integer(value.is(Kind::kFloat) ? truncated(value.number()) : value.integer(),
                              spec);
      case 'x':
      case 'X':
      case 'o':
        if (!value.is_integral()) {
          runtime_.fail("%{} format: an integer is required, not {}", spec.type, type_name(value));
        }
        return format_integer(value.integer(), spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!value.is_number()) runtime_.fail("must be real number, not {}", type_name(value));
        return format_real(value.number(), spec);
      default:
        runtime_.fail("unsupported format character '{}'", spec.type);
    }
  }

  int64_t truncated(double value) const {
    if (!(std::fabs(value) < 9e18)) runtime_.fail("the number does not fit a 64-bit integer");
    return static_cast<int64_t>(value);
  }

  static std::string plain(std::string text, Spec spec) {
    if (spec.align != '<') spec.align = '>';
    spec.fill = " ";
    return format_text(text, spec);
  }

  Runtime& runtime_;
  const std::string_view format_;
  const Value arguments_;
  const Markup markup_;
  size_t at_ = 0;
  size_t used_ = 0;
  bool named_ = false;
};

// ---- str.format

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments, Markup markup)
      : runtime_(runtime), arguments_(arguments), markup_(markup) {}

  std::string run(std::string_view format) {
    const Nesting nesting(runtime_);
    std::string out;
    for (size_t i = 0; i < format.size();) {
      const char c = format[i];
      const bool doubled = i + 1 < format.size() && format[i + 1] == c;
      if ((c == '{' || c == '}') && doubled) {
        out += c;
        i += 2;
      } else if (c == '}') {
        runtime_.fail("Single '}}' encountered in format string");
      } else if (c == '{') {
        i = field(format, i + 1, out);
      } else {
        out += c;
        ++i;
      }
      runtime_.will_allocate(out.size());
    }
    return out;
  }

 private:
  size_t field(std::string_view format, size_t start, std::string& out) {
    int depth = 1;
    size_t end = start;
    for (; end < format.size() && depth > 0; ++end) {
      depth += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
    }
    if (depth != 0) runtime_.fail("expected '}}' before end of string");
    std::string_view inside = format.substr(start, end - 1 - start);
    std::string spec_text;
    if (const size_t colon = inside.find(':'); colon != std::string_view::npos) {
      spec_text = run(inside.substr(colon + 1));
      inside = inside.substr(0, colon);
    }
    char conversion = '\0';
    if (const size_t bang = inside.find('!'); bang != std::string_view::npos) {
      conversion = bang + 1 < inside.size() ? inside[bang + 1] : '\0';
      inside = inside.substr(0, bang);
    }
    Value value = resolve(inside);
    if (conversion == 'r' || conversion == 'a') value = runtime_.string(repr(runtime_, value));
    if (conversion == 's') value = runtime_.string(str(runtime_, value));
    std::string text = formatted(value, spec_text);
    out += markup_ == Markup::kSafe && !value.is_markup() ? escape_html(text) : text;
    return end;
  }

  Value resolve(std::string_view path) {
    const size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = first(path.substr(0, end));
    path.remove_prefix(end);
    while (!path.empty()) {
      if (path[0] == '.') {
        const size_t stop = std::min(path.find_first_of(".[", 1), path.size());
        value = attribute(runtime_, value, path.substr(1, stop - 1));
        path.remove_prefix(stop);
      } else {
        const size_t stop = path.find(']');
        if (path[0] != '[' || stop == std::string_view::npos) {
          runtime_.fail("Missing ']' in format string");
        }
        value = indexed(value, path.substr(1, stop - 1));
        path.remove_prefix(stop + 1);
      }
      require_defined(runtime_, value);
    }
    return value;
  }

  Value indexed(const Value& value, std::string_view key) {
    int64_t index = 0;
    if (std::from_chars(key.data(), key.data() + key.size(), index).ptr ==
        key.data() + key.size()) {
      return item(runtime_, value, Value::integer(index));
    }
    return item(runtime_, value, runtime_.string(std::string(key)));
  }

  Value first(std::string_view name) {
    size_t index = 0;
    if (name.empty()) {
      index = next_++;
    } else if (std::from_chars(name.data(), name.data() + name.size(), index).ptr !=
               name.data() + name.size()) {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      runtime_.fail("the format needs the argument '{}'", name);
    }
    if (index >= arguments_.positional.size()) {
      runtime_.fail("Replacement index {} out of range for positional args tuple", index);
    }
    return arguments_.positional[index];
  }

  std::string formatted(const Value& value, std::string_view text) {
    if (text.empty()) return str(runtime_, value);
    Spec spec = parse_spec(text);
    const bool is_real_type = std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos;
    if (spec.type == '\0' || spec.type == 's') {
      if (value.is(Kind::kString)) return format_text(value.text(), spec);
    }
    if (value.is(Kind::kBool) && spec.type == '\0') return format_text(str(runtime_, value), spec);
    if (value.is_integral() && (spec.type == '\0' || !is_real_type)) {
      if (spec.type == 'n') spec.type = 'd';
      if (spec.type == 's') fail_type(spec, value);
      return format_integer(value.integer(), spec);
    }
    if (value.is_number() && (spec.type == '\0' || is_real_type)) {
      return format_real(value.number(), spec);
    }
    if (value.is(Kind::kString)) fail_type(spec, value);
    runtime_.fail("unsupported format string passed to {}.__format__", type_name(value));
  }

  [[noreturn]] void fail_type(const Spec& spec, const Value& value) {
    runtime_.fail("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value));
  }

  Spec parse_spec(std::string_view text) {
    Spec spec;
    size_t bytes = 0;
    first_point(text, &bytes);
    const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
    if (bytes < text.size() && is_align(text[bytes])) {
      spec.fill = text.substr(0, bytes);
      spec.align = text[bytes];
      text.remove_prefix(bytes + 1);
    } else if (is_align(text[0])) {
      spec.align = text[0];
      text.remove_prefix(1);
    }
    const auto skip = [&](char c) {
      const bool found = !text.empty() && text[0] == c;
      if (found) text.remove_prefix(1);
      return found;
    };
    for (char sign : {'+', '-', ' '}) {
      if (skip(sign)) spec.sign = sign;
    }
    spec.alternate = skip('#');
    if (skip('0') && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    spec.width = digits(text);
    for (char grouping : {',', '_'}) {
      if (skip(grouping)) spec.grouping = grouping;
    }
    if (skip('.')) spec.precision = static_cast<int>(std::min<size_t>(digits(text), 4096));
    if (!text.empty()) {
      spec.type = text[0];
      text.remove_prefix(1);
    }
    if (!text.empty()) runtime_.fail("Invalid format specifier");
    return spec;
  }

  static size_t digits(std::string_view& text) {
    size_t value = 0;
    while (!text.empty() && text[0] >= '0' && text[0] <= '9') {
      value = std::min(value * 10 + static_cast<size_t>(text[0] - '0'), kWidthMax);
      text.remove_prefix(1);
    }
    return value;
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  const Markup markup_;
  size_t next_ = 0;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  std::string text(buffer, scientific.ptr);
  const size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  if (exponent >= -4 && exponent < 16) {
    const auto fixed =
        std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::fixed);
    text.assign(buffer, fixed.ptr);
    if (text.find('.') == std::string::npos) text += ".0";
  }
  return text;
}

std::string repr(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kString:
      runtime.scan(value.text().size());
      return value.is_markup() ? "Markup(" + string_repr(value.text()) + ")"
                               : string_repr(value.text());
    case Kind::kUndefined:
      return "Undefined";
    default:
      return str(runtime, value);
  }
}

std::string str(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return {};
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return value.boolean() ? "True" : "False";
    case Kind::kInt:
      return std::to_string(value.integer());
    case Kind::kFloat:
      return float_repr(value.number());
    case Kind::kString:
      runtime.will_allocate(value.text().size());
      return value.text();
    case Kind::kList:
      return list_repr(runtime, value.list());
    case Kind::kDict:
      return dict_repr(runtime, value.dict());
    case Kind::kObject:
      return fmt::format("<{}>", value.object().type_name());
  }
  return {};
}

std::string_view str_view(Runtime& runtime, const Value& value, std::string& storage) {
  if (value.is(Kind::kString)) return value.text();
  storage = str(runtime, value);
  return storage;
}

std::string percent_format(Runtime& runtime, std::string_view format, const Value& arguments,
                           Markup markup) {
  return PercentFormatter(runtime, format, arguments, markup).run();
}

std::string brace_format(Runtime& runtime, std::string_view format, const Arguments& arguments,
                         Markup markup) {
  return BraceFormatter(runtime, arguments, markup).run(format);
}

}  // namespace hearth::tokenizer::jinja
