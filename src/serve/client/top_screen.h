// `hearth top`: a server's answers as text for a terminal. Pure: JSON and a size in, lines out.
#pragma once

#include <cstdint>
#include <string>

#include "io/json.h"

namespace hearth::serve {

// The answers of these routes; null, where the key may not ask.
struct TopAnswers {
  int64_t now_s = 0;
  io::Json status;       // /v1/hearth/status
  io::Json deployments;  // /v1/deployments
  io::Json jobs;         // /v1/fine_tuning/jobs
  io::Json batches;      // /v1/batches
};

// At most `rows` lines of at most `columns`, but not narrower than 70.
std::string top_screen(const TopAnswers& answers, int columns, int rows);

}  // namespace hearth::serve
