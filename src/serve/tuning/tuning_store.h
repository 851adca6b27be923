// Tuning jobs and what happened to them. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/files/file_store.h"
#include "serve/state/page.h"
#include "serve/tuning/adapter_shelf.h"

namespace hearth::serve {

class State;

// OpenAI's words.
namespace job_status {
inline constexpr const char* kValidating = "validating_files";
inline constexpr const char* kQueued = "queued";
inline constexpr const char* kRunning = "running";
inline constexpr const char* kPaused = "paused";
inline constexpr const char* kSucceeded = "succeeded";
inline constexpr const char* kFailed = "failed";
inline constexpr const char* kCancelled = "cancelled";
}  // namespace job_status

struct TuningJob {
  int64_t number = 0;
  std::string id;       // "ftjob-..."
  std::string project;  // whose it is
  std::string owner;    // whose the adapter will be: the project, or everybody
  std::string api_key;
  std::string model;  // as it was asked for
  std::string base;
  std::string training_file, validation_file;
  std::string method;           // "supervised" or "dpo"
  std::string hyperparameters;  // JSON: numbers, or "auto" before the files were read
  std::string suffix;
  int64_t seed = 0;
  std::string metadata;  // JSON
  std::string status = job_status::kValidating;
  std::string error;  // JSON; empty: none
  std::string fine_tuned_model, result_file;
  int64_t examples = 0, steps = 0, last_step = 0, last_validation_step = -1, trained_tokens = 0;
  int64_t attempts = 0;  // of the process since it last got on
  int64_t created_s = 0, started_s = 0, finished_s = 0;
};

bool is_over(const TuningJob& job);

struct TuningEvent {
  std::string id;  // "ftevent-..."
  int64_t created_s = 0;
  std::string level = "info";    // info, warn, error
  std::string type = "message";  // message, metrics
  std::string message;
  std::string data = "{}";  // JSON
};

class TuningStore {
 public:
  explicit TuningStore(State& state) : state_(state) {}

  void add(const TuningJob& job, const TuningEvent& event);
  std::optional<TuningJob> find(const std::string& id, const std::string& project);
  std::optional<TuningJob> find(const std::string& id);
  // An empty project is all of them. `metadata`: entries that a job has to have.
  Listed<TuningJob> list(const std::string& project, const Page& page,
                         const std::vector<std::pair<std::string, std::string>>& metadata);
  // Those with that status, oldest first.
  std::vector<TuningJob> with_status(const std::string& status);
  int64_t unfinished_of(const std::string& project);

  // From one of the statuses `from` to another, with a line in its history. False: it had another.
  bool move(const std::string& id, const std::vector<std::string>& from, const char* to,
            int64_t now_s, const TuningEvent& event);
  void files_are_good(const TuningJob& job, const TuningEvent& event);
  void fail(const std::string& id, const std::string& error, int64_t now_s,
            const TuningEvent& event);
  void note_attempt(const std::string& id, int64_t attempts);
  // What its process has told since the last time.
  void progress(const TuningJob& job, const std::vector<TuningEvent>& events);
  // It is over, its adapter is there and will be after a restart.
  void succeed(const TuningJob& job, const ShelvedAdapter& adapter, const StoredFile& results,
               const std::vector<TuningEvent>& events);

  Listed<TuningEvent> events(const std::string& job, const Page& page);

 private:
  State& state_;
};

}  // namespace hearth::serve
