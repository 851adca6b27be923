// Whole numbers as text: comparing and counting digit strings, and expressions over them.
#pragma once

#include <string>

#include "grammar/ir.h"

namespace hearth::grammar {

inline char above(char digit) { return static_cast<char>(digit + 1); }
inline char below(char digit) { return static_cast<char>(digit - 1); }

// One digit of low..high; never when there is none.
ExprId digits(Ir& ir, char low, char high);
inline ExprId digit(Ir& ir, char c) { return digits(ir, c, c); }
// Between low and high of any digits.
ExprId any_digits(Ir& ir, int64_t low, int64_t high);

// Numbers without leading zeros.
bool less(const std::string& a, const std::string& b);
std::string plus_one(std::string number);
// `number` > 0.
std::string minus_one(std::string number);

// Whole numbers low..high, no sign, no leading zeros.
ExprId whole_between(Ir& ir, const std::string& low, const std::string& high);

}  // namespace hearth::grammar
