// Takes tuning jobs from files to a served adapter, one at a time, oldest first. What matters is in
// the store and in the folder of the job: a server that is killed goes on where it was. Everything
// runs on one Serial; any thread may call.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/clock.h"
#include "serve/adapter_registry.h"
#include "serve/executor.h"
#include "serve/ids.h"
#include "serve/server_options.h"
#include "serve/tuning/trainer.h"
#include "serve/tuning/tuning_store.h"

namespace hearth::serve {

class TuningRunner : public std::enable_shared_from_this<TuningRunner> {
 public:
  struct House {
    TuningStore& store;
    FileStore& files;
    AdapterRegistry& adapters;
    Executor& executor;
    const Clock& clock;
    Ids& ids;
    const ServiceLimits& limits;
    std::string data_dir;
    Trainer* trainer = nullptr;  // null: nothing is trained here
  };

  explicit TuningRunner(House house) : house_(std::move(house)) {}

  // Something may have changed: a new job, a cancelled one, time.
  void wake();
  // The job that runs leaves a checkpoint; the next server goes on with it.
  void stop();
  std::string folder_of(const std::string& job) const { return house_.data_dir + "/tuning/" + job; }

 private:
  void look();
  void adopt_interrupted();
  void validate();
  void begin_next();
  void begin(TuningJob job);
  void watch();
  void finish(TuningJob job, std::vector<TuningEvent> events);
  void fail(const TuningJob& job, const char* code, const std::string& message,
            const std::string& param);
  void try_again(TuningJob job);
  TuningEvent event(const std::string& message, const char* level = "info") const;
  std::string path_of(const std::string& file_id, const std::string& project) const;
  int64_t now_s() const { return house_.clock.wall() / kSecond; }

  const House house_;
  const std::shared_ptr<Serial> serial_ = std::make_shared<Serial>(house_.executor);
  std::atomic<bool> stopped_{false};
  std::atomic<bool> woken_{false};
  // The Serial's own.
  bool adopted_ = false;
  std::string current_;  // the job that the trainer has
};

}  // namespace hearth::serve
