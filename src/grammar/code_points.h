// Sets of Unicode code points, and their spelling as UTF-8 byte sequences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/ir.h"

namespace hearth::grammar {

struct CodePointRange {
  uint32_t low = 0;
  uint32_t high = 0;
};

// Ranges are kept sorted and apart. Surrogates never belong: UTF-8 cannot spell them.
class CodePointSet {
 public:
  CodePointSet() = default;
  explicit CodePointSet(std::vector<CodePointRange> ranges);

  static CodePointSet any();
  static CodePointSet of(uint32_t code_point) { return range(code_point, code_point); }
  static CodePointSet range(uint32_t low, uint32_t high) { return CodePointSet({{low, high}}); }

  void add(const CodePointSet& other);
  CodePointSet complement() const;
  CodePointSet intersect(const CodePointSet& other) const;
  CodePointSet minus(const CodePointSet& other) const { return intersect(other.complement()); }
  // With the other case of each ASCII letter.
  CodePointSet fold_ascii() const;
  bool contains(uint32_t code_point) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<CodePointRange>& ranges() const { return ranges_; }

 private:
  std::vector<CodePointRange> ranges_;
};

// One code point of the set, in UTF-8.
ExprId utf8_expr(Ir& ir, const CodePointSet& set);

void append_utf8(std::string& out, uint32_t code_point);

// Reads the code point at `at` and moves past it. Throws Error naming `where` when it is not UTF-8.
uint32_t next_code_point(std::string_view text, size_t& at, const std::string& where);

}  // namespace hearth::grammar
