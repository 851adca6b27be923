// Who trains an adapter, one job at a time. The server asks; a process of its own does the work.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::serve {

struct TrainingOrder {
  std::string folder;         // gets the adapter, log.jsonl and checkpoints; what is there goes on
  std::string training_path;  // JSONL
  std::string validation_path;  // JSONL, or empty
  std::string method;           // "sft" or "dpo"
  double epochs = 3;
  int64_t batch_size = 8;
  double learning_rate = 5e-4;
  double beta = 0.1;  // dpo
  int64_t rank = 8;
  int64_t seed = 1;
};

struct TrainingReport {
  enum class State : uint8_t {
    kIdle,     // there is no job
    kRunning,  // it goes on
    kDone,     // the folder holds the adapter
    kStopped,  // interrupted; the same order goes on
    kFailed,   // another try would fail too
  };
  State state = State::kIdle;
  std::string error;  // of kFailed
};

class Trainer {
 public:
  virtual ~Trainer() = default;
  // Throws Error saying why it could not begin. One at a time.
  virtual void start(const TrainingOrder& order) = 0;
  // Never waits. After an end is told once, it is idle.
  virtual TrainingReport look() = 0;
  // Asks it to leave a checkpoint and end; look() tells when it has.
  virtual void stop() = 0;
};

}  // namespace hearth::serve
