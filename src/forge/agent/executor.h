// The hands of an agent: they start workers, stop them, and know of each whether it is dead. What
// they keep survives the agent's program, and so do the workers; a fence ends those when nobody
// comes back for them in time. One thread.
#pragma once

#include <vector>

#include "forge/core/agent.h"

namespace hearth::forge {

struct Exit {
  JobId job = 0;
  Epoch epoch = 0;
  Outcome outcome = Outcome::kKilled;
  ImageRef image = {};
};

struct NewImage {
  JobId job = 0;
  ImageRef image;
};

// What an earlier program of this agent left behind.
struct Recovered {
  Incarnation incarnation = 0;  // 0: nothing, or all of it died with the machine
  AgentMemory memory;
};

class Executor {
 public:
  virtual ~Executor() = default;

  // Once, first of all. Workers whose program is gone are dead when it returns.
  virtual Recovered recover() = 0;
  // A new incarnation, which knows nothing of older ones. No worker lives.
  virtual void begin(Incarnation incarnation) = 0;

  // Remembered before it happens. An epoch that is known, in whatever state, is not started again.
  // Throws Error where it cannot be remembered: then nothing has started.
  virtual void start(const Start& order) = 0;
  virtual void halt(JobId job, Epoch epoch, StopMode mode) = 0;
  virtual void bury(JobId job, Epoch epoch) = 0;
  // No worker outlives this time of the agent's clock, whether this program runs or not.
  virtual void set_fence(Millis at) = 0;
  // Epochs that ended since the last call: all their processes are dead.
  virtual std::vector<Exit> poll(Millis now) = 0;
  // Of epochs that run, since the last call. Some hands make none.
  virtual std::vector<NewImage> take_images() { return {}; }
};

}  // namespace hearth::forge
