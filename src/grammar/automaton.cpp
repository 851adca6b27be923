#include "grammar/automaton.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "grammar/fsm.h"
#include "grammar/gates.h"

namespace hearth::grammar {
namespace {

// A repeat of at most this many leaves is spelled out in its rule; a larger one counts.
constexpr int64_t kSpelledOutLeavesMax = 64;
// A rule without calls of at most this many leaves is copied to where it is called.
constexpr int64_t kInlineLeavesMax = 8;
constexpr int kInlineDepthMax = 64;

class Compiler {
 public:
  explicit Compiler(const Ir& ir)
      : ir_(ir),
        nullable_(Gates(ir, Gates::Question::kMatchesEmpty).values()),
        productive_(Gates(ir, Gates::Question::kMatches).values()),
        leaves_(ir.exprs(), -1),
        has_call_(ir.exprs(), -1),
        compiled_(ir.rules().size(), -1) {}

  Automaton compile() {
    const ExprId root_body = ir_.rules()[ir_.root()].body;
    if (!productive_[root_body]) {
      throw_error(ErrorCode::kInvalidArgument, "grammar",
                  "no finite text matches rule '{}': it contradicts itself or recurses without end",
                  ir_.rules()[ir_.root()].name);
    }
    find_byte_classes();
    count_references();
    out_.root = rule_for(ir_.root());
    out_.root_nullable = nullable_[root_body];
    while (!todo_.empty()) {
      const Todo next = todo_.back();
      todo_.pop_back();
      build_rule(next);
    }
    rank_rules();
    return std::move(out_);
  }

 private:
  struct Todo {
    int32_t rule = 0;    // compiled
    RuleId source = -1;  // a rule of the Ir, or
    ExprId repeat = -1;  // the counting rule of this repeat, or
    ExprId body = -1;    // the rule of a repeat's body
  };

  // -- preparation

  void find_byte_classes() {
    std::array<int32_t, 256> classes{};
    int32_t count = 1;
    for (const ByteSet& set : ir_.sets()) {
      std::vector<std::array<int32_t, 2>> halves(count, {-1, -1});
      int32_t next = 0;
      std::array<int32_t, 256> refined{};
      for (int byte = 0; byte < 256; ++byte) {
        int32_t& half = halves[classes[byte]][set[byte]];
        if (half < 0) half = next++;
        refined[byte] = half;
      }
      classes = refined;
      count = next;
      if (count == 256) break;
    }
    out_.byte_classes = count;
    representative_.resize(count);
    class_bytes_.resize(count);
    for (int byte = 0; byte < 256; ++byte) {
      out_.byte_class[byte] = static_cast<uint8_t>(classes[byte]);
      representative_[classes[byte]] = static_cast<uint8_t>(byte);
      class_bytes_[classes[byte]].set(byte);
    }
    set_classes_.reserve(ir_.sets().size());
    for (const ByteSet& set : ir_.sets()) {
      std::vector<uint8_t> members;
      for (int32_t c = 0; c < count; ++c) {
        if (set[representative_[c]]) members.push_back(static_cast<uint8_t>(c));
      }
      set_classes_.push_back(std::move(members));
    }
  }

  void count_references() {
    references_.assign(ir_.rules().size(), 0);
    ++references_[ir_.root()];
    for (ExprId id = 0; id < ir_.exprs(); ++id) {
      if (ir_.expr(id).kind == ExprKind::kRule) callers_.push_back(id);
    }
    std::vector<int32_t> uses(ir_.exprs(), 0);
    for (ExprId id = 0; id < ir_.exprs(); ++id) {
      for (const ExprId child : ir_.expr(id).children) ++uses[child];
      for (const GraphEdge& edge : ir_.expr(id).edges) ++uses[edge.expr];
    }
    for (const Rule& rule : ir_.rules()) ++uses[rule.body];
    for (const ExprId id : callers_) references_[ir_.expr(id).low] += uses[id];
  }

  // Leaves of an expression once spelled out, saturating; calls count as one.
  int64_t leaves(ExprId id) {
    if (leaves_[id] >= 0) return leaves_[id];
    const Expr& expr = ir_.expr(id);
    int64_t sum = expr.kind == ExprKind::kBytes || expr.kind == ExprKind::kRule ? 1 : 0;
    for (const ExprId child : expr.children) sum += leaves(child);
    for (const GraphEdge& edge : expr.edges) sum += leaves(edge.expr);
    if (expr.kind == ExprKind::kRepeat) {
      const int64_t copies = repeat_copies(expr) * sum;
      sum = copies > kSpelledOutLeavesMax ? 1 : copies;
    }
    return leaves_[id] = std::min<int64_t>(sum, int64_t{1} << 40);
  }

  static int64_t repeat_copies(const Expr& expr) {
    return expr.high == kUnbounded ? std::max(expr.low, 1) : expr.high;
  }

  bool has_call(ExprId id) {
    if (has_call_[id] >= 0) return has_call_[id] == 1;
    const Expr& expr = ir_.expr(id);
    bool found = expr.kind == ExprKind::kRule;
    for (const ExprId child : expr.children) found = found || has_call(child);
    for (const GraphEdge& edge : expr.edges) found = found || has_call(edge.expr);
    has_call_[id] = found ? 1 : 0;
    return found;
  }

  bool is_inlined(RuleId rule) {
    const ExprId body = ir_.rules()[rule].body;
    if (inline_depth_ >= kInlineDepthMax || rule == ir_.root()) return false;
    if (references_[rule] == 1 && repeating_ == 0) return true;
    return leaves(body) <= kInlineLeavesMax && !has_call(body);
  }

  // -- rules on demand

  int32_t new_rule(std::string name) {
    out_.rules.emplace_back();
    names_.push_back(std::move(name));
    return static_cast<int32_t>(out_.rules.size()) - 1;
  }

  int32_t rule_for(RuleId source) {
    if (compiled_[source] < 0) {
      compiled_[source] = new_rule(ir_.rules()[source].name);
      todo_.push_back({.rule = compiled_[source], .source = source});
    }
    return compiled_[source];
  }

  int32_t counting_rule_for(ExprId repeat) {
    const auto [it, fresh] = counting_.try_emplace(repeat, -1);
    if (fresh) {
      it->second = new_rule(names_[building_] + " (repeat)");
      todo_.push_back({.rule = it->second, .repeat = repeat});
    }
    return it->second;
  }

  void build_rule(const Todo& todo) {
    building_ = todo.rule;
    if (todo.repeat >= 0) {
      build_counting(todo);
      return;
    }
    nfa_.assign(2, {});
    if (todo.source >= 0) {
      build_body(todo.source);
    } else {
      build(todo.body, 0, 1);
    }
    emit(todo.rule, simplified(nfa_, set_classes_, out_.byte_classes, work_));
  }

  // One state that calls the body; how often it did is in the frame.
  void build_counting(const Todo& todo) {
    const Expr& expr = ir_.expr(todo.repeat);
    const ExprId child = expr.children[0];
    const int32_t body = new_rule(names_[todo.rule]);
    todo_.push_back({.rule = body, .body = child});
    const int32_t state = add_state(true);
    out_.states[state].count_min = nullable_[child] ? 0 : expr.low;
    out_.states[state].count_max = expr.high;
    out_.call_edges.push_back({body, state});
    out_.states[state].call_end = static_cast<int32_t>(out_.call_edges.size());
    out_.rules[todo.rule].start = state;
  }

  // -- expression to NFA (Thompson's construction)

  int32_t vertex() {
    nfa_.emplace_back();
    work_.add(1);
    return static_cast<int32_t>(nfa_.size()) - 1;
  }
  void empty_step(int32_t from, int32_t to) { nfa_[from].push_back({.target = to}); }

  // `rule = rule tail | base` is `base tail*`: a rule that starts with itself does not recurse.
  void build_body(RuleId rule) {
    const ExprId body = ir_.rules()[rule].body;
    std::vector<ExprId> alternatives{body};
    if (ir_.expr(body).kind == ExprKind::kChoice) alternatives = ir_.expr(body).children;
    const int32_t base = vertex();
    const int32_t loop = vertex();
    for (const ExprId alternative : alternatives) {
      if (!build_left_recursive(rule, alternative, loop)) build(alternative, 0, base);
    }
    empty_step(base, loop);
    empty_step(loop, 1);
  }

  bool build_left_recursive(RuleId rule, ExprId alternative, int32_t loop) {
    const Expr& expr = ir_.expr(alternative);
    if (calls(alternative, rule)) return true;
    if (expr.kind != ExprKind::kSeq || !calls(expr.children[0], rule)) return false;
    build_seq(expr.children, 1, loop, loop);
    return true;
  }

  bool calls(ExprId id, RuleId rule) const {
    return ir_.expr(id).kind == ExprKind::kRule && ir_.expr(id).low == rule;
  }

  void build(ExprId id, int32_t from, int32_t to) {
    if (!productive_[id]) return;
    work_.add(1);
    const Expr& expr = ir_.expr(id);
    switch (expr.kind) {
      case ExprKind::kNever:
        return;
      case ExprKind::kEmpty:
        return empty_step(from, to);
      case ExprKind::kBytes:
        nfa_[from].push_back({.set = expr.low, .target = to});
        return;
      case ExprKind::kSeq:
        return build_seq(expr.children, 0, from, to);
      case ExprKind::kChoice:
        for (const ExprId child : expr.children) build(child, from, to);
        return;
      case ExprKind::kRepeat:
        return build_repeat(id, expr, from, to);
      case ExprKind::kRule:
        return build_call(expr.low, from, to);
      case ExprKind::kGraph:
        return build_graph(expr, from, to);
    }
  }

  void build_seq(const std::vector<ExprId>& parts, size_t first, int32_t from, int32_t to) {
    int32_t at = from;
    for (size_t i = first; i < parts.size(); ++i) {
      const int32_t next = i + 1 == parts.size() ? to : vertex();
      build(parts[i], at, next);
      at = next;
    }
    if (first == parts.size()) empty_step(from, to);
  }

  void build_repeat(ExprId id, const Expr& expr, int32_t from, int32_t to) {
    const ExprId child = expr.children[0];
    if (!productive_[child]) return empty_step(from, to);
    if (repeat_copies(expr) > 1 && repeat_copies(expr) * leaves(child) > kSpelledOutLeavesMax) {
      call_rule(counting_rule_for(id), nullable_[id], from, to);
      return;
    }
    // What is copied must not bring whole rules with it.
    repeating_ += repeat_copies(expr) > 1 ? 1 : 0;
    int32_t at = vertex();
    empty_step(from, at);
    for (int32_t i = 0; i < expr.low; ++i) {
      const int32_t next = vertex();
      build(child, at, next);
      at = next;
    }
    if (expr.high == kUnbounded) {
      const int32_t loop = vertex();
      empty_step(at, loop);
      build(child, loop, loop);
      at = loop;
    }
    for (int32_t i = expr.low; i < expr.high; ++i) {
      empty_step(at, to);
      const int32_t next = vertex();
      build(child, at, next);
      at = next;
    }
    empty_step(at, to);
    repeating_ -= repeat_copies(expr) > 1 ? 1 : 0;
  }

  void build_call(RuleId rule, int32_t from, int32_t to) {
    const ExprId body = ir_.rules()[rule].body;
    if (!is_inlined(rule)) {
      call_rule(rule_for(rule), nullable_[body], from, to);
      return;
    }
    ++inline_depth_;
    const int32_t start = vertex();
    const int32_t end = vertex();
    empty_step(from, start);
    build(body, start, end);
    empty_step(end, to);
    --inline_depth_;
  }

  void call_rule(int32_t callee, bool nullable, int32_t from, int32_t to) {
    nfa_[from].push_back({.callee = callee, .target = to});
    if (nullable) empty_step(from, to);
  }

  void build_graph(const Expr& expr, int32_t from, int32_t to) {
    std::vector<int32_t> vertices(expr.low);
    for (int32_t& v : vertices) v = vertex();
    empty_step(from, vertices.front());
    for (const GraphEdge& edge : expr.edges) {
      build(edge.expr, vertices[edge.from], vertices[edge.to]);
    }
    empty_step(vertices.back(), to);
  }

  // -- into the shared tables

  int32_t add_state(bool accepting) {
    if (out_.states.size() >= static_cast<size_t>(ir_.limits().states_max)) {
      throw_error(ErrorCode::kTooLarge, "grammar",
                  "the grammar needs more than {} states (states_max); make it smaller",
                  ir_.limits().states_max);
    }
    const auto bytes = static_cast<int32_t>(out_.byte_edges.size());
    const auto call_count = static_cast<int32_t>(out_.call_edges.size());
    out_.states.push_back({.byte_begin = bytes,
                           .byte_end = bytes,
                           .call_begin = call_count,
                           .call_end = call_count,
                           .accepting = accepting});
    return static_cast<int32_t>(out_.states.size()) - 1;
  }

  void emit(int32_t rule, const Fsm& fsm) {
    const auto base = static_cast<int32_t>(out_.states.size());
    for (const FsmState& state : fsm) emit_state(state, base, state.accepting);
    out_.rules[rule].start = base;
    // Callers step over a nullable rule, so that its start must not end it.
    if (fsm[0].accepting) {
      out_.rules[rule].start = static_cast<int32_t>(out_.states.size());
      emit_state(fsm[0], base, false);
    }
  }

  void emit_state(const FsmState& from, int32_t base, bool accepting) {
    State& state = out_.states[add_state(accepting)];
    std::map<int32_t, ByteSet> by_target;
    for (const auto& [c, target] : from.bytes) by_target[base + target] |= class_bytes_[c];
    for (const auto& [target, set] : by_target) {
      for (int low = 0; low < 256; ++low) {
        if (!set[low]) continue;
        int high = low;
        while (high < 255 && set[high + 1]) ++high;
        out_.byte_edges.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(high), target});
        low = high;
      }
    }
    for (const CallEdge& call : from.calls) {
      out_.call_edges.push_back({call.rule, base + call.target});
    }
    work_.add(static_cast<int64_t>(from.bytes.size() + from.calls.size()));
    state.byte_end = static_cast<int32_t>(out_.byte_edges.size());
    state.call_end = static_cast<int32_t>(out_.call_edges.size());
  }

  // -- the order in which one byte's new calls are made

  void rank_rules() {
    const auto count = static_cast<int32_t>(out_.rules.size());
    std::vector<int32_t> mark(count, 0);  // 0 new, 1 on the path, 2 done
    int32_t next_rank = count;
    struct Visit {
      int32_t rule = 0;
      int32_t next_call = 0;
    };
    for (int32_t root = 0; root < count; ++root) {
      if (mark[root] != 0) continue;
      std::vector<Visit> path{{root, out_.states[out_.rules[root].start].call_begin}};
      mark[root] = 1;
      while (!path.empty()) {
        Visit& visit = path.back();
        if (visit.next_call == out_.states[out_.rules[visit.rule].start].call_end) {
          mark[visit.rule] = 2;
          out_.rules[visit.rule].rank = --next_rank;
          path.pop_back();
          continue;
        }
        const int32_t callee = out_.call_edges[visit.next_call++].rule;
        if (mark[callee] == 1) refuse_left_recursion(path, callee);
        if (mark[callee] == 2) continue;
        mark[callee] = 1;
        path.push_back({callee, out_.states[out_.rules[callee].start].call_begin});
      }
    }
  }

  template <typename Path>
  [[noreturn]] void refuse_left_recursion(const Path& path, int32_t callee) const {
    std::string cycle;
    bool inside = false;
    for (const auto& visit : path) {
      inside = inside || visit.rule == callee;
      if (inside) cycle += names_[visit.rule] + " -> ";
    }
    throw_error(ErrorCode::kUnsupported, "grammar",
                "left recursion through several rules ({}{}): rewrite it with a repetition", cycle,
                names_[callee]);
  }

  const Ir& ir_;
  std::vector<bool> nullable_;     // [exprs]
  std::vector<bool> productive_;   // [exprs]
  std::vector<int64_t> leaves_;    // [exprs] -1: not counted yet
  std::vector<int8_t> has_call_;   // [exprs] -1: not known yet
  std::vector<int32_t> compiled_;  // [rules of ir] rule of out_, or -1
  std::vector<int32_t> references_;
  std::vector<ExprId> callers_;
  std::map<ExprId, int32_t> counting_;
  std::vector<std::string> names_;  // [rules of out_]
  std::vector<Todo> todo_;
  std::vector<uint8_t> representative_;            // [byte classes]
  std::vector<ByteSet> class_bytes_;               // [byte classes]
  std::vector<std::vector<uint8_t>> set_classes_;  // [byte sets] classes of each
  Nfa nfa_;
  int32_t building_ = 0;
  int inline_depth_ = 0;
  int repeating_ = 0;
  WorkMeter work_;
  Automaton out_;
};

}  // namespace

size_t Automaton::bytes() const {
  return states.size() * sizeof(State) + byte_edges.size() * sizeof(ByteEdge) +
         call_edges.size() * sizeof(CallEdge) + rules.size() * sizeof(RuleEntry) + sizeof(*this);
}

Automaton compile_automaton(const Ir& ir) { return Compiler(ir).compile(); }

}  // namespace hearth::grammar
