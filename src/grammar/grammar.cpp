#include "grammar/grammar.h"

#include "base/error.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/regex.h"
#include "io/json.h"

namespace hearth::grammar {
namespace {

// Masks kept for one grammar; some hundreds at the largest vocabularies.
constexpr size_t kMaskBytesMax = size_t{16} << 20;
// How many frames of the stack a mask looks at before it leaves tokens undecided.
constexpr int kCutDepths[] = {8, 3, 1, 0};

void check_size(const GrammarSource& source, const GrammarLimits& limits) {
  size_t bytes = source.text.size();
  for (const std::string& choice : source.choices) bytes += choice.size();
  if (bytes > limits.source_bytes_max) {
    throw_error(ErrorCode::kTooLarge, "grammar", "{} bytes are over the limit of {}", bytes,
                limits.source_bytes_max);
  }
}

ExprId choice_expr(Ir& ir, const std::vector<std::string>& choices) {
  if (choices.empty()) {
    throw_error(ErrorCode::kInvalidArgument, "choice", "expected at least one choice, found none");
  }
  std::vector<ExprId> parts;
  for (const std::string& choice : choices) parts.push_back(ir.literal(choice));
  return ir.choice(std::move(parts));
}

ExprId source_expr(Ir& ir, const GrammarSource& source) {
  switch (source.kind) {
    case GrammarKind::kJsonSchema:
      return json_schema_expr(ir, io::parse_json(source.text, "schema"), source.whitespace);
    case GrammarKind::kJsonObject:
      return JsonText(ir, source.whitespace).object();
    case GrammarKind::kJsonValue:
      return JsonText(ir, source.whitespace).value();
    case GrammarKind::kGbnf:
      return gbnf_expr(ir, source.text);
    case GrammarKind::kRegex:
      return regex_expr(ir, source.text, RegexMatch::kWhole, utf8_expr, "regex");
    case GrammarKind::kChoice:
      return choice_expr(ir, source.choices);
  }
  return ir.never();
}

}  // namespace

Grammar::Grammar(Automaton automaton, std::shared_ptr<const Vocabulary> vocabulary)
    : automaton_(std::move(automaton)),
      vocabulary_(std::move(vocabulary)),
      mask_bytes_max_(kMaskBytesMax),
      masks_(kMaskBytesMax) {}

size_t Grammar::bytes() const { return sizeof(*this) + automaton_.bytes() + mask_bytes_max_; }

std::shared_ptr<const TokenMask> Grammar::mask(const Machine& machine, int32_t column) const {
  const int32_t reach = vocabulary_->bytes_max();
  std::string key;
  int depth = 0;
  for (const int candidate : kCutDepths) {
    depth = candidate;
    key = machine.key(column, depth, reach);
    if (key.size() <= Machine::kKeyBytesMax) break;
  }
  const bool keyed = key.size() <= Machine::kKeyBytesMax;
  if (keyed) {
    if (auto known = masks_.find(key)) return known;
  }
  auto [scratch, start] = machine.cut(column, depth, reach);
  auto found = std::make_shared<const TokenMask>(find_mask(scratch, start, *vocabulary_));
  if (keyed) masks_.insert(key, found);
  return found;
}

std::shared_ptr<const Grammar> compile_grammar(const GrammarSource& source,
                                               std::shared_ptr<const Vocabulary> vocabulary,
                                               const GrammarLimits& limits) {
  check_size(source, limits);
  Ir ir(limits);
  const RuleId root = ir.add_rule("root");
  ir.set_root(root);
  ir.set_body(root, source_expr(ir, source));
  return std::make_shared<const Grammar>(compile_automaton(ir), std::move(vocabulary));
}

}  // namespace hearth::grammar
