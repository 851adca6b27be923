// Text for a terminal in columns: UTF-8 in, a number of columns out. One code point is one column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

// Exactly `width` columns: filled with blanks, or cut between characters with an ellipsis.
std::string fit(std::string_view text, int width);
// The same with the blanks in front.
std::string fit_right(std::string_view text, int width);
// "███···": `part` of `width`, from 0 to 1.
std::string meter(double part, int width);
// 850ms, 12s, 3m20s, 1h05m, 2d03h
std::string short_duration(int64_t ms);
// A line without blanks at its end, and its newline.
std::string trimmed_line(std::string line);

}  // namespace hearth
