// The server's answers as text for a terminal. Pure: JSON and a width in, lines out.
#pragma once

#include <string>

#include "io/json_fwd.h"

namespace hearth::forge {

// `hearth forge ps`: one line a job, at most `columns` wide.
std::string jobs_table(const io::Json& jobs, int columns);

// `hearth forge top`: the fleet in bars, its nodes, its jobs; at most `rows` lines.
std::string top_screen(const io::Json& state, const io::Json& jobs, int columns, int rows);

std::string events_text(const io::Json& events);
std::string event_line(const io::Json& event);

// The wall clock here: 14:03:22, with the date in front when it is not that of `now_ms`.
std::string clock_time(int64_t ms, int64_t now_ms);

}  // namespace hearth::forge
