// The automaton of one rule: from a network of steps, as expressions are written down, to the
// smallest automaton that is cheap to find.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/ir.h"

namespace hearth::grammar {

struct NfaEdge {
  int32_t set = -1;    // index of a byte set, or
  RuleId callee = -1;  // a compiled rule, or neither: an empty step
  int32_t target = 0;
};
using Nfa = std::vector<std::vector<NfaEdge>>;  // vertex 0 starts, vertex 1 accepts

struct FsmState {
  std::vector<std::pair<uint8_t, int32_t>> bytes;  // byte class, target
  std::vector<CallEdge> calls;
  bool accepting = false;
};
using Fsm = std::vector<FsmState>;  // state 0 starts

// Counts the steps of constructions that can grow faster than their input; too many are an error.
class WorkMeter {
 public:
  void add(int64_t steps);

 private:
  int64_t steps_ = 0;
};

// `set_classes` are the byte classes of each byte set, below `byte_classes`.
Fsm simplified(const Nfa& nfa, const std::vector<std::vector<uint8_t>>& set_classes,
               int32_t byte_classes, WorkMeter& work);

}  // namespace hearth::grammar
