// `hearth tune` as a child of the server: at the lowest priority, gone with its parent, and able to
// go on from its checkpoint. Any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "serve/tuning/trainer.h"

namespace hearth::apps {

// How it stands to the server, on the cores that both use.
enum class TunePriority {
  kIdle,    // what nobody else wants
  kLow,     // a sixtieth of what the server gets
  kNormal,  // the same
};

class TuneProcess final : public serve::Trainer {
 public:
  // `base`: the folder of the model that is served.
  TuneProcess(std::string base, TunePriority priority)
      : base_(std::move(base)), priority_(priority) {}
  ~TuneProcess() override;  // asks it to end, waits a little, and insists

  void start(const serve::TrainingOrder& order) override;
  serve::TrainingReport look() override;
  void stop() override;

 private:
  void run(const serve::TrainingOrder& order, const std::string& config);
  void end_with(serve::TrainingReport report);

  const std::string base_;
  const TunePriority priority_;
  std::mutex mutex_;
  std::condition_variable ended_;
  serve::TrainingReport report_;  // guarded by mutex_
  int child_ = 0;                 // likewise: 0, while there is none
  bool asked_to_stop_ = false;    // likewise
  std::thread watcher_;
};

}  // namespace hearth::apps
