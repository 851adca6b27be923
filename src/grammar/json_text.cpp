#include "grammar/json_text.h"

#include <map>

#include "grammar/json_number.h"
#include "io/json.h"

namespace hearth::grammar {
namespace {

constexpr int kIndentMax = 20;

// What a JSON string cannot hold as it is.
CodePointSet escaped_only() { return CodePointSet({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}); }

ExprId hex_digit(Ir& ir) {
  return utf8_expr(ir, CodePointSet({{'0', '9'}, {'a', 'f'}, {'A', 'F'}}));
}

}  // namespace

ExprId json_spelling(Ir& ir, const CodePointSet& set) {
  std::vector<ExprId> parts{utf8_expr(ir, set.minus(escaped_only()))};
  const CodePointSet escaped = set.intersect(escaped_only());
  for (const auto& range : escaped.ranges()) {
    for (uint32_t c = range.low; c <= range.high; ++c) {
      const std::string quoted = io::dump_json(io::Json(std::string(1, static_cast<char>(c))));
      parts.push_back(ir.literal(std::string_view(quoted).substr(1, quoted.size() - 2)));
    }
  }
  return ir.choice(std::move(parts));
}

JsonText::JsonText(Ir& ir, Whitespace whitespace) : ir_(ir) {
  ByteSet indent;
  indent.set(' ').set('\t');
  space_ = whitespace == Whitespace::kCompact
               ? ir.empty()
               : rule("space", ir.choice({ir.empty(), ir.literal(" "),
                                          ir.seq({ir.literal("\n"),
                                                  ir.repeat(ir.bytes(indent), 0, kIndentMax)})}));
  comma_ = ir.seq({ir.literal(","), space_});
  colon_ = ir.seq({ir.literal(":"), space_});
  character_ = rule("character", make_character());
  string_ = rule("string", ir.seq({ir.literal("\""), ir.star(make_character()), ir.literal("\"")}));
  number_ = rule("number", number_expr(ir, {}));
  const RuleId any = ir.add_rule("value");
  value_ = ir.call(any);
  const ExprId member = ir.seq({string_, colon_, value_});
  object_ = rule("object", brackets("{", list(member), "}", Empty::kAllowed));
  array_ = rule("array", brackets("[", list(value_), "]", Empty::kAllowed));
  ir.set_body(any, ir.choice({object_, array_, string_, number_, ir.literal("true"),
                              ir.literal("false"), ir.literal("null")}));
}

ExprId JsonText::rule(std::string name, ExprId body) {
  const RuleId id = ir_.add_rule(std::move(name));
  ir_.set_body(id, body);
  return ir_.call(id);
}

ExprId JsonText::make_character() {
  const ExprId hex = hex_digit(ir_);
  const ExprId low_seven = ir_.byte_range('0', '7');
  const auto one_of = [this](std::string_view bytes) {
    ByteSet set;
    for (const char c : bytes) set.set(static_cast<uint8_t>(c));
    return ir_.bytes(set);
  };
  const ExprId unit = ir_.choice({ir_.seq({one_of("0123456789abcefABCEF"), hex, hex, hex}),
                                  ir_.seq({one_of("dD"), low_seven, hex, hex})});
  const ExprId high_half = ir_.seq({one_of("dD"), one_of("89abAB"), hex, hex});
  const ExprId low_half = ir_.seq({one_of("dD"), one_of("cdefCDEF"), hex, hex});
  const ExprId pair = ir_.seq({high_half, ir_.literal("\\u"), low_half});
  const ExprId escape =
      ir_.choice({one_of("\"\\/bfnrt"), ir_.seq({ir_.literal("u"), ir_.choice({unit, pair})})});
  return ir_.choice(
      {utf8_expr(ir_, escaped_only().complement()), ir_.seq({ir_.literal("\\"), escape})});
}

// A trie of the names: leaving it anywhere, or stopping where no name ends, gives another string.
ExprId JsonText::string_other_than(const std::vector<std::string>& names) {
  if (names.empty()) return string_;
  struct Place {
    std::map<uint32_t, int32_t> next;
    bool is_name = false;
  };
  std::vector<Place> trie(1);
  for (const std::string& name : names) {
    int32_t at = 0;
    for (size_t i = 0; i < name.size();) {
      const uint32_t c = next_code_point(name, i, "property name");
      const auto [it, fresh] = trie[at].next.try_emplace(c, static_cast<int32_t>(trie.size()));
      at = it->second;
      if (fresh) trie.emplace_back();
    }
    trie[at].is_name = true;
  }
  const auto other = static_cast<int32_t>(trie.size());
  const int32_t end = other + 1;
  std::vector<GraphEdge> edges{{other, other, character_}, {other, end, ir_.empty()}};
  for (int32_t at = 0; at < other; ++at) {
    // Inside of the trie an escape could spell a name in another way, so that it may not come.
    CodePointSet plain = escaped_only().complement();
    std::vector<CodePointRange> taken;
    for (const auto& [c, child] : trie[at].next) {
      taken.push_back({c, c});
      edges.push_back({at, child, json_spelling(ir_, CodePointSet::of(c))});
    }
    plain = plain.minus(CodePointSet(std::move(taken)));
    edges.push_back({at, other, utf8_expr(ir_, plain)});
    if (!trie[at].is_name) edges.push_back({at, end, ir_.empty()});
  }
  return ir_.seq({ir_.literal("\""), ir_.graph(end + 1, std::move(edges)), ir_.literal("\"")});
}

ExprId JsonText::constant(const io::Json& value) {
  if (value.is_object()) {
    std::vector<ExprId> parts;
    for (const auto& [key, member] : value.items()) {
      if (!parts.empty()) parts.push_back(comma_);
      parts.push_back(ir_.literal(io::dump_json(io::Json(key))));
      parts.push_back(colon_);
      parts.push_back(constant(member));
    }
    if (parts.empty()) return ir_.literal("{}");
    return brackets("{", ir_.seq(std::move(parts)), "}", Empty::kForbidden);
  }
  if (value.is_array()) {
    std::vector<ExprId> parts;
    for (const io::Json& item : value) {
      if (!parts.empty()) parts.push_back(comma_);
      parts.push_back(constant(item));
    }
    if (parts.empty()) return ir_.literal("[]");
    return brackets("[", ir_.seq(std::move(parts)), "]", Empty::kForbidden);
  }
  return ir_.literal(io::dump_json(value));
}

ExprId JsonText::brackets(const char* open, ExprId contents, const char* close, Empty empty) {
  ExprId inside = ir_.seq({space_, contents, space_});
  if (empty == Empty::kAllowed) inside = ir_.choice({ir_.empty(), inside});
  return ir_.seq({ir_.literal(open), inside, ir_.literal(close)});
}

ExprId JsonText::list(ExprId item) {
  // before an item (0), after one (1), at the end (2)
  return ir_.graph(3, {{0, 1, item}, {1, 0, comma_}, {1, 2, ir_.empty()}});
}

}  // namespace hearth::grammar
