#include "grammar/fsm.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/error.h"

namespace hearth::grammar {
namespace {

// Bounds of the constructions that can grow faster than their input.
constexpr int64_t kWorkMax = 60'000'000;
constexpr size_t kMinimiseStatesMax = 4000;
constexpr int64_t kMinimiseWorkMax = 4'000'000;

// Takes the empty steps out of a network.
class Steps {
 public:
  Steps(const Nfa& nfa, const std::vector<std::vector<uint8_t>>& set_classes, int32_t byte_classes,
        WorkMeter& work)
      : nfa_(nfa),
        set_classes_(set_classes),
        byte_classes_(byte_classes),
        work_(work),
        seen_(nfa.size(), 0) {}

  std::optional<Fsm> determinised() {
    const size_t states_max = 4 * nfa_.size() + 512;
    std::map<std::vector<int32_t>, int32_t> closed_ids, raw_ids;
    std::vector<const std::vector<int32_t>*> members;
    const auto id_of = [&](std::vector<int32_t> raw) {
      std::sort(raw.begin(), raw.end());
      raw.erase(std::unique(raw.begin(), raw.end()), raw.end());
      const auto [known, fresh_raw] = raw_ids.try_emplace(raw, -1);
      if (!fresh_raw) return known->second;
      close(raw);
      const auto [it, fresh] =
          closed_ids.try_emplace(std::move(raw), static_cast<int32_t>(members.size()));
      if (fresh) members.push_back(&it->first);
      return known->second = it->second;
    };
    id_of({0});
    Fsm fsm;
    std::vector<std::vector<int32_t>> by_class(byte_classes_);
    std::map<int32_t, std::vector<int32_t>> by_callee;
    for (size_t i = 0; i < members.size(); ++i) {
      if (members.size() > states_max) return std::nullopt;
      FsmState state;
      for (const int32_t v : *members[i]) {
        if (v == 1) state.accepting = true;
        for (const NfaEdge& edge : nfa_[v]) {
          if (edge.callee >= 0) by_callee[edge.callee].push_back(edge.target);
          if (edge.set < 0) continue;
          work_.add(static_cast<int64_t>(set_classes_[edge.set].size()));
          for (const uint8_t c : set_classes_[edge.set]) by_class[c].push_back(edge.target);
        }
      }
      for (int32_t c = 0; c < byte_classes_; ++c) {
        if (by_class[c].empty()) continue;
        state.bytes.emplace_back(static_cast<uint8_t>(c), id_of(std::exchange(by_class[c], {})));
      }
      for (auto& [callee, targets] : by_callee) {
        state.calls.push_back({callee, id_of(std::move(targets))});
      }
      by_callee.clear();
      fsm.push_back(std::move(state));
    }
    return fsm;
  }

  // The vertices themselves as states, where subsets of them grow too many.
  Fsm without_empty_steps() {
    Fsm fsm(nfa_.size());
    for (int32_t v = 0; v < static_cast<int32_t>(nfa_.size()); ++v) {
      std::vector<int32_t> reach{v};
      close(reach);
      for (const int32_t u : reach) {
        if (u == 1) fsm[v].accepting = true;
        for (const NfaEdge& edge : nfa_[u]) {
          if (edge.callee >= 0) fsm[v].calls.push_back({edge.callee, edge.target});
          if (edge.set < 0) continue;
          work_.add(static_cast<int64_t>(set_classes_[edge.set].size()));
          for (const uint8_t c : set_classes_[edge.set]) fsm[v].bytes.emplace_back(c, edge.target);
        }
      }
    }
    return fsm;
  }

 private:
  // Adds to `set` what empty steps reach from it; sorted.
  void close(std::vector<int32_t>& set) {
    ++seen_mark_;
    std::erase_if(set,
                  [this](int32_t v) { return std::exchange(seen_[v], seen_mark_) == seen_mark_; });
    for (size_t i = 0; i < set.size(); ++i) {
      work_.add(static_cast<int64_t>(nfa_[set[i]].size()) + 1);
      for (const NfaEdge& edge : nfa_[set[i]]) {
        if (edge.set < 0 && edge.callee < 0 && seen_[edge.target] != seen_mark_) {
          seen_[edge.target] = seen_mark_;
          set.push_back(edge.target);
        }
      }
    }
    // Only vertices that do something tell two sets apart.
    std::erase_if(set, [this](int32_t v) { return v != 1 && !has_step(v); });
    std::sort(set.begin(), set.end());
  }

  bool has_step(int32_t v) const {
    return std::any_of(nfa_[v].begin(), nfa_[v].end(),
                       [](const NfaEdge& edge) { return edge.set >= 0 || edge.callee >= 0; });
  }

  const Nfa& nfa_;
  const std::vector<std::vector<uint8_t>>& set_classes_;
  const int32_t byte_classes_;
  WorkMeter& work_;
  std::vector<int32_t> seen_;
  int32_t seen_mark_ = 0;
};

// Without states that the start does not reach or that reach no end.
Fsm trimmed(Fsm fsm) {
  const auto count = static_cast<int32_t>(fsm.size());
  std::vector<std::vector<int32_t>> sources(count);
  std::vector<int32_t> reached{0};
  std::vector<bool> forward(count, false), backward(count, false);
  forward[0] = true;
  for (size_t i = 0; i < reached.size(); ++i) {
    const int32_t s = reached[i];
    const auto visit = [&](int32_t target) {
      sources[target].push_back(s);
      if (!forward[target]) forward[target] = true, reached.push_back(target);
    };
    for (const auto& [c, target] : fsm[s].bytes) visit(target);
    for (const CallEdge& call : fsm[s].calls) visit(call.target);
  }
  std::vector<int32_t> ending;
  for (const int32_t s : reached) {
    if (fsm[s].accepting) backward[s] = true, ending.push_back(s);
  }
  for (size_t i = 0; i < ending.size(); ++i) {
    for (const int32_t source : sources[ending[i]]) {
      if (!backward[source]) backward[source] = true, ending.push_back(source);
    }
  }
  std::vector<int32_t> kept(count, -1);
  kept[0] = 0;
  int32_t next = 1;
  for (const int32_t s : reached) {
    if (s != 0 && backward[s]) kept[s] = next++;
  }
  Fsm out(next);
  for (const int32_t s : reached) {
    if (kept[s] < 0) continue;
    FsmState& state = out[kept[s]];
    state.accepting = fsm[s].accepting;
    for (const auto& [c, target] : fsm[s].bytes) {
      if (backward[target]) state.bytes.emplace_back(c, kept[target]);
    }
    for (const CallEdge& call : fsm[s].calls) {
      if (backward[call.target]) state.calls.push_back({call.rule, kept[call.target]});
    }
  }
  return out;
}

// Moore's partition refinement; gives up, changing nothing, when it would take long.
Fsm minimised(Fsm fsm) {
  const size_t count = fsm.size();
  if (count > kMinimiseStatesMax) return fsm;
  std::vector<int32_t> block(count);
  for (size_t s = 0; s < count; ++s) block[s] = fsm[s].accepting ? 1 : 0;
  size_t blocks = 0;
  int64_t spent = 0;
  for (;;) {
    std::map<std::vector<int32_t>, int32_t> ids;
    std::vector<int32_t> refined(count);
    for (size_t s = 0; s < count; ++s) {
      std::vector<int32_t> signature{block[s]};
      for (const auto& [c, target] : fsm[s].bytes)
        signature.insert(signature.end(), {c, block[target]});
      for (const CallEdge& call : fsm[s].calls) {
        signature.insert(signature.end(), {-1 - call.rule, block[call.target]});
      }
      spent += static_cast<int64_t>(signature.size());
      refined[s] =
          ids.try_emplace(std::move(signature), static_cast<int32_t>(ids.size())).first->second;
    }
    if (spent > kMinimiseWorkMax) return fsm;
    block = std::move(refined);
    if (ids.size() == blocks) break;
    blocks = ids.size();
  }
  // State 0 was numbered first, so that its block is 0.
  Fsm out(blocks);
  std::vector<bool> done(blocks, false);
  for (size_t s = 0; s < count; ++s) {
    if (done[block[s]]) continue;
    done[block[s]] = true;
    FsmState& state = out[block[s]];
    state = std::move(fsm[s]);
    for (auto& [c, target] : state.bytes) target = block[target];
    for (CallEdge& call : state.calls) call.target = block[call.target];
  }
  return out;
}

}  // namespace

void WorkMeter::add(int64_t steps) {
  if ((steps_ += steps) > kWorkMax) {
    throw_error(ErrorCode::kTooLarge, "grammar",
                "the automaton takes too long to build; make the grammar smaller");
  }
}

Fsm simplified(const Nfa& nfa, const std::vector<std::vector<uint8_t>>& set_classes,
               int32_t byte_classes, WorkMeter& work) {
  Steps steps(nfa, set_classes, byte_classes, work);
  std::optional<Fsm> deterministic = steps.determinised();
  Fsm fsm = trimmed(deterministic ? std::move(*deterministic) : steps.without_empty_steps());
  return deterministic ? minimised(std::move(fsm)) : fsm;
}

}  // namespace hearth::grammar
