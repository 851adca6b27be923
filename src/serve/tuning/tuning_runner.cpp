#include "serve/tuning/tuning_runner.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "io/file.h"
#include "io/json.h"
#include "serve/tuning/hyperparameters.h"
#include "serve/tuning/training_log.h"
#include "serve/tuning/tuning_input.h"

namespace hearth::serve {
namespace {

namespace fs = std::filesystem;
using io::Json;

constexpr int64_t kAttemptsMax = 5;  // without a step in between
constexpr size_t kModelIdBytes = 8;

// "ft:BASE:TENANT:SUFFIX:ID", of letters that a name may have.
std::string model_name(const TuningJob& job) {
  std::string base = job.base;
  for (char& c : base) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') c = '-';
  }
  return fmt::format("ft:{}:{}:{}:{}", base, job.project, job.suffix,
                     job.id.substr(job.id.size() - kModelIdBytes));
}

}  // namespace

void TuningRunner::wake() {
  if (stopped_ || house_.trainer == nullptr || woken_.exchange(true)) return;
  serial_->post([self = shared_from_this()] {
    self->woken_ = false;
    try {
      self->look();
    } catch (const std::exception& error) {
      log::error("tuning error=\"{}\"", error.what());
    }
  });
}

void TuningRunner::stop() {
  stopped_ = true;
  if (house_.trainer != nullptr) house_.trainer->stop();
}

void TuningRunner::look() {
  if (stopped_) return;
  adopt_interrupted();
  validate();
  if (!current_.empty()) watch();
  if (current_.empty()) begin_next();
}

TuningEvent TuningRunner::event(const std::string& message, const char* level) const {
  return {house_.ids.make("ftevent-"), now_s(), level, "message", message, "{}"};
}

// Jobs of a server that is gone.
void TuningRunner::adopt_interrupted() {
  if (std::exchange(adopted_, true)) return;
  for (const TuningJob& job : house_.store.with_status(job_status::kRunning)) {
    house_.store.move(job.id, {job_status::kRunning}, job_status::kQueued, now_s(),
                      event("The server was restarted; the job goes on where it was", "warn"));
  }
}

std::string TuningRunner::path_of(const std::string& file_id, const std::string& project) const {
  if (!house_.files.find(file_id, project, now_s())) {
    throw_error(ErrorCode::kNotFound, "", "the file '{}' is gone", file_id);
  }
  return house_.files.path_of(file_id);
}

void TuningRunner::validate() {
  for (TuningJob& job : house_.store.with_status(job_status::kValidating)) {
    const char* param = "training_file";
    try {
      job.examples = count_examples(path_of(job.training_file, job.project), job.method,
                                    house_.limits.line_bytes_max);
      param = "validation_file";
      if (!job.validation_file.empty()) {
        count_examples(path_of(job.validation_file, job.project), job.method,
                       house_.limits.line_bytes_max);
      }
      const Hyperparameters chosen = settle(job);
      const auto a_pass = (job.examples + chosen.batch_size - 1) / chosen.batch_size;
      job.steps = static_cast<int64_t>(std::ceil(static_cast<double>(a_pass) * chosen.epochs));
      job.hyperparameters = io::dump_json(to_json(chosen, job.method));
      house_.store.files_are_good(
          job, event(fmt::format("Files validated: {} examples; moving job to queued state",
                                 job.examples)));
    } catch (const Error& error) {
      const std::string code = std::string("invalid_") + param;
      fail(job, code.c_str(),
           fmt::format(
               "{} {}: {}", param,
               std::string(param) == "training_file" ? job.training_file : job.validation_file,
               error.text),
           param);
    }
  }
}

void TuningRunner::fail(const TuningJob& job, const char* code, const std::string& message,
                        const std::string& param) {
  const Json error = {
      {"code", code}, {"message", message}, {"param", param.empty() ? Json(nullptr) : Json(param)}};
  house_.store.fail(job.id, io::dump_json(error), now_s(), event(message, "error"));
  log::warn("tuning job failed id={} project={} error=\"{}\"", job.id, job.project, message);
}

void TuningRunner::begin_next() {
  for (TuningJob& job : house_.store.with_status(job_status::kQueued)) {
    begin(std::move(job));
    if (!current_.empty()) return;
  }
}

void TuningRunner::begin(TuningJob job) {
  try {
    const Hyperparameters chosen = settle(job);
    TrainingOrder order;
    order.folder = folder_of(job.id);
    order.training_path = path_of(job.training_file, job.project);
    if (!job.validation_file.empty()) {
      order.validation_path = path_of(job.validation_file, job.project);
    }
    order.method = job.method == "dpo" ? "dpo" : "sft";
    order.epochs = chosen.epochs;
    order.batch_size = chosen.batch_size;
    order.learning_rate = chosen.learning_rate(job.method);
    order.beta = chosen.beta;
    order.rank = chosen.lora_rank;
    order.seed = job.seed;
    fs::create_directories(order.folder);
    house_.trainer->start(order);
  } catch (const Error& error) {
    return fail(job, "trainer_error", error.text, "");
  }
  const bool fresh = job.started_s == 0;
  const bool moved =
      house_.store.move(job.id, {job_status::kQueued}, job_status::kRunning, now_s(),
                        event(fresh ? "Fine-tuning job started" : "Fine-tuning job goes on"));
  current_ = job.id;
  if (!moved) house_.trainer->stop();  // cancelled this moment
}

void TuningRunner::watch() {
  auto job = house_.store.find(current_);
  const TrainingReport report = house_.trainer->look();
  if (!job || job->status != job_status::kRunning) {
    // Cancelled or paused: it may leave a checkpoint first.
    if (report.state == TrainingReport::State::kRunning) return house_.trainer->stop();
    if (job && job->status == job_status::kCancelled) {
      std::error_code ignored;
      fs::remove_all(folder_of(current_), ignored);
    }
    current_.clear();
    return;
  }
  auto events = read_training_log(folder_of(job->id) + "/log.jsonl", *job, house_.ids, now_s());
  if (!events.empty()) house_.store.progress(*job, events);
  switch (report.state) {
    case TrainingReport::State::kRunning:
      return;
    case TrainingReport::State::kDone:
      current_.clear();
      return finish(std::move(*job), {});
    case TrainingReport::State::kFailed:
      current_.clear();
      return fail(*job, "trainer_error", report.error, "");
    case TrainingReport::State::kIdle:
    case TrainingReport::State::kStopped:
      current_.clear();
      return try_again(std::move(*job));
  }
}

// Its process ended in the middle, and nobody had asked it to.
void TuningRunner::try_again(TuningJob job) {
  if (++job.attempts > kAttemptsMax) {
    return fail(job, "trainer_error",
                fmt::format("the training process ended {} times without getting on", job.attempts),
                "");
  }
  house_.store.note_attempt(job.id, job.attempts);
  house_.store.move(
      job.id, {job_status::kRunning}, job_status::kQueued, now_s(),
      event("The training process was interrupted; it goes on from its checkpoint", "warn"));
}

// First it is served, then it is said.
void TuningRunner::finish(TuningJob job, std::vector<TuningEvent> events) {
  const std::string folder = folder_of(job.id);
  job.fine_tuned_model = model_name(job);
  job.finished_s = now_s();
  try {
    house_.adapters.load(job.owner, job.fine_tuned_model, folder);
  } catch (const Error& error) {
    return fail(job, "adapter_error", error.text, "");
  }
  const std::string table = training_table(folder + "/log.jsonl");
  StoredFile results;
  results.id = house_.ids.make("file-");
  results.project = job.project;
  results.filename = "step_metrics.csv";
  results.purpose = "fine-tune-results";
  results.bytes = std::ssize(table);
  results.created_s = job.finished_s;
  job.result_file = results.id;
  try {
    io::write_file_atomic(house_.files.path_of(results.id), table);
    events.push_back(event("New fine-tuned model created: " + job.fine_tuned_model));
    events.push_back(event("The job has successfully completed"));
    house_.store.succeed(job, {job.owner, job.fine_tuned_model, folder, job.id, job.finished_s},
                         results, events);
  } catch (const Error&) {
    house_.adapters.unload(job.owner, job.fine_tuned_model);
    throw;  // the job still runs in the books: a restart goes on from here
  }
  std::error_code ignored;
  fs::remove_all(folder + "/checkpoints", ignored);
  log::info("tuning job succeeded id={} project={} model={}", job.id, job.project,
            job.fine_tuned_model);
}

}  // namespace hearth::serve
