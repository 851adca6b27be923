// The compiled form of a grammar: one small automaton a rule, over bytes and calls of other rules.
//
// Each rule's automaton is determinised and minimised where that stays small; states that cannot
// lead to an end are gone, so that every prefix the automata accept can be finished. No rule
// matches the empty text: callers step over a nullable rule instead. No rule calls itself before
// reading a byte (left recursion of a rule into itself was rewritten, other left recursion
// refused).
//
// A large counted repeat is a rule of one state that counts: its count lives in the frame of the
// stack (machine.h), not in copies of the body.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "grammar/ir.h"

namespace hearth::grammar {

struct ByteEdge {
  uint8_t low = 0;
  uint8_t high = 0;
  int32_t target = 0;
};

struct CallEdge {
  RuleId rule = 0;
  int32_t target = 0;  // the state in the caller once the callee ended
};

struct State {
  int32_t byte_begin = 0, byte_end = 0;  // in byte_edges
  int32_t call_begin = 0, call_end = 0;  // in call_edges
  int32_t count_min = 0;                 // of a counting state: it may end from here on
  int32_t count_max = 0;                 // 0: does not count; kUnbounded: without end
  bool accepting = false;

  bool counts() const { return count_max != 0; }
  bool has_edges() const { return byte_begin < byte_end || call_begin < call_end; }
};

struct Automaton {
  struct RuleEntry {
    int32_t start = 0;
    int32_t rank = 0;  // a rule whose start calls another has the smaller rank
  };

  std::vector<State> states;
  std::vector<ByteEdge> byte_edges;
  std::vector<CallEdge> call_edges;
  std::vector<RuleEntry> rules;
  std::array<uint8_t, 256> byte_class{};  // bytes no edge tells apart share a class
  int32_t byte_classes = 1;
  RuleId root = 0;
  bool root_nullable = false;

  size_t bytes() const;
};

// Throws Error: kTooLarge over a limit, kUnsupported for left recursion through several rules,
// kInvalidArgument when no text at all would match.
Automaton compile_automaton(const Ir& ir);

}  // namespace hearth::grammar
