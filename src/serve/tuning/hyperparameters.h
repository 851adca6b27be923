// The numbers of a tuning job: as they were asked for ("auto" among them), and as they were chosen.
#pragma once

#include <cstdint>
#include <string>

#include "io/json_fwd.h"

namespace hearth::serve {

struct TuningJob;
class Fields;

struct Hyperparameters {
  double epochs = 3;
  int64_t batch_size = 8;
  double learning_rate_multiplier = 1;
  double beta = 0.1;  // dpo
  int64_t lora_rank = 8;

  double learning_rate(const std::string& method) const;
};

// As JSON to keep. Throws Error naming the field under `path` that is wrong.
std::string read_hyperparameters(const io::Json& asked, const std::string& path,
                                 const std::string& method);
// With a number in place of every "auto", by the number of examples.
Hyperparameters settle(const TuningJob& job);
io::Json to_json(const Hyperparameters& chosen, const std::string& method);

}  // namespace hearth::serve
