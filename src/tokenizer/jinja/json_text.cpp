#include "tokenizer/jinja/json_text.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/python.h"
#include "tokenizer/jinja/text.h"

namespace hearth::tokenizer::jinja {
namespace {

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void value(const Value& v) {
    runtime_.step();
    switch (v.kind()) {
      case Kind::kNone:
        out += "null";
        return;
      case Kind::kBool:
        out += v.boolean() ? "true" : "false";
        return;
      case Kind::kInt:
        out += std::to_string(v.integer());
        return;
      case Kind::kFloat:
        out += number(v.number());
        return;
      case Kind::kString:
        string(v.text());
        return;
      case Kind::kDict:
        return object(v.dict());
      case Kind::kList:
        if (v.list().form == Form::kList || v.list().form == Form::kTuple) return array(v.list());
        break;
      default:
        break;
    }
    runtime_.fail("Object of type {} is not JSON serializable", type_name(v));
  }

  std::string out;

 private:
  static std::string number(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
    return float_repr(d);
  }

  void unicode_escape(char32_t unit) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(unit));
  }

  void string(std::string_view text) {
    runtime_.scan(text.size());
    runtime_.will_allocate(out.size() + text.size());
    out += '"';
    while (!text.empty()) {
      size_t bytes = 0;
      const char32_t c = first_point(text, &bytes);
      character(c, text.substr(0, bytes));
      text.remove_prefix(bytes);
    }
    out += '"';
  }

  void character(char32_t c, std::string_view raw) {
    static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
    static constexpr std::string_view kTo = "\"\\nrtbf";
    const size_t simple = c < 0x80 ? kFrom.find(static_cast<char>(c)) : std::string_view::npos;
    if (simple != std::string_view::npos) {
      out += '\\';
      out += kTo[simple];
    } else if (c < 0x20 || (style_.ascii && c > 0x7E && c < 0x10000)) {
      unicode_escape(c);
    } else if (style_.ascii && c >= 0x10000) {
      unicode_escape(0xD800 + ((c - 0x10000) >> 10));
      unicode_escape(0xDC00 + ((c - 0x10000) & 0x3FF));
    } else {
      out += raw;
    }
  }

  void line(int level) {
    if (!style_.pretty) return;
    out += '\n';
    for (int i = 0; i < level; ++i) out += style_.indent;
    runtime_.will_allocate(out.size());
  }

  void array(const List& list) {
    if (list.items.empty()) {
      out += "[]";
      return;
    }
    const Nesting nesting(runtime_);
    out += '[';
    ++level_;
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      line(level_);
      value(list.items[i]);
    }
    line(--level_);
    out += ']';
  }

  void key(const Value& k) {
    switch (k.kind()) {
      case Kind::kString:
        return string(k.text());
      case Kind::kNone:
      case Kind::kBool:
      case Kind::kInt:
      case Kind::kFloat:
        out += '"';
        value(k);
        out += '"';
        return;
      default:
        runtime_.fail("keys must be str, int, float, bool or None, not {}", type_name(k));
    }
  }

  void object(const Dict& dict) {
    if (dict.entries.empty()) {
      out += "{}";
      return;
    }
    const Nesting nesting(runtime_);
    auto entries = dict.entries;
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
        return compare(runtime_, a.first, b.first, Op::kLt) < 0;
      });
    }
    out += '{';
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += style_.item_separator;
      line(level_);
      key(entries[i].first);
      out += style_.key_separator;
      value(entries[i].second);
    }
    line(--level_);
    out += '}';
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  int level_ = 0;
};

}  // namespace

std::string json_text(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Writer writer(runtime, style);
  writer.value(value);
  return std::move(writer.out);
}

}  // namespace hearth::tokenizer::jinja
