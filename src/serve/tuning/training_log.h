// The log of a training process (docs/tuning.md) as it grows: what is new becomes events.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serve/ids.h"
#include "serve/tuning/tuning_store.h"

namespace hearth::serve {

// Reads the log from the beginning, skips what `job` knows, and notes in it what it knows now. A
// process that goes on writes steps again, with the same numbers. A last line without an end waits.
std::vector<TuningEvent> read_training_log(const std::string& path, TuningJob& job, Ids& ids,
                                           int64_t now_s);

// The whole log as the table that OpenAI calls the result file.
std::string training_table(const std::string& path);

}  // namespace hearth::serve
