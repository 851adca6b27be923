// The pieces of JSON text as expressions: strings, numbers, white space, any value, fixed values.
#pragma once

#include <string>
#include <vector>

#include "grammar/code_points.h"
#include "grammar/ir.h"
#include "io/json_fwd.h"

namespace hearth::grammar {

enum class Whitespace {
  kFlexible,  // none, one space, or a line break with a short indent, where JSON allows white space
  kCompact,   // none
};

// A code point of the set inside a JSON string: itself, or its one usual escape.
ExprId json_spelling(Ir& ir, const CodePointSet& set);

// Makes each piece once for a grammar, as a rule, so that its masks are found once.
class JsonText {
 public:
  JsonText(Ir& ir, Whitespace whitespace);

  // After an opening bracket, a comma or a colon, and before a closing bracket. Bounded, so that a
  // model cannot write white space for ever.
  ExprId space() const { return space_; }
  ExprId comma() const { return comma_; }
  ExprId colon() const { return colon_; }
  // One character of a string, escaped in any way JSON allows; half surrogate pairs are not one.
  ExprId character() const { return character_; }
  ExprId string() const { return string_; }
  // A string that is none of `names`.
  ExprId string_other_than(const std::vector<std::string>& names);
  ExprId number() const { return number_; }
  ExprId value() const { return value_; }
  ExprId object() const { return object_; }
  ExprId array() const { return array_; }
  ExprId constant(const io::Json& value);

  // [ and ] around items, { and } around members; `empty` tells whether none is a possibility.
  enum class Empty { kAllowed, kForbidden };
  ExprId brackets(const char* open, ExprId contents, const char* close, Empty empty);
  // item (, item)*
  ExprId list(ExprId item);
  // The expression as a rule of its own, for what is used more than once.
  ExprId rule(std::string name, ExprId body);

 private:
  ExprId make_character();

  Ir& ir_;
  ExprId space_, comma_, colon_, character_, string_, number_, value_, object_, array_;
};

}  // namespace hearth::grammar
