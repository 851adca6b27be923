// /v1/fine_tuning/jobs: OpenAI's contract, on the project's own trainer.
#include <algorithm>

#include "io/json.h"
#include "serve/app.h"
#include "serve/fields.h"
#include "serve/list_json.h"
#include "serve/metadata.h"
#include "serve/query.h"
#include "serve/services.h"
#include "serve/tuning/hyperparameters.h"
#include "serve/tuning/tuning_runner.h"

namespace hearth::serve {
namespace {

using io::Json;

constexpr size_t kSuffixBytesMax = 64;
constexpr int64_t kSeedMax = INT32_MAX;

// What is left, at the pace so far.
Json estimated_finish(const TuningJob& job, int64_t now_s) {
  if (job.status != job_status::kRunning || job.last_step == 0 || job.steps <= job.last_step) {
    return nullptr;
  }
  const double pace =
      static_cast<double>(now_s - job.started_s) / static_cast<double>(job.last_step);
  return now_s + static_cast<int64_t>(pace * static_cast<double>(job.steps - job.last_step));
}

Json job_json(const TuningJob& job, int64_t now_s) {
  const Json hyperparameters = io::parse_json(job.hyperparameters, "hyperparameters");
  return {{"object", "fine_tuning.job"},
          {"id", job.id},
          {"model", job.model},
          {"created_at", job.created_s},
          {"finished_at", time_or_null(job.finished_s)},
          {"fine_tuned_model", text_or_null(job.fine_tuned_model)},
          {"organization_id", job.project},
          {"result_files", job.result_file.empty() ? Json::array() : Json{job.result_file}},
          {"status", job.status},
          {"validation_file", text_or_null(job.validation_file)},
          {"training_file", job.training_file},
          {"hyperparameters", hyperparameters},
          {"trained_tokens", job.trained_tokens == 0 ? Json(nullptr) : Json(job.trained_tokens)},
          {"error", job.error.empty() ? Json(nullptr) : io::parse_json(job.error, "error")},
          {"user_provided_suffix", text_or_null(job.suffix)},
          {"seed", job.seed},
          {"estimated_finish", estimated_finish(job, now_s)},
          {"integrations", Json::array()},
          {"metadata", io::parse_json(job.metadata, "metadata")},
          {"method", {{"type", job.method}, {job.method, {{"hyperparameters", hyperparameters}}}}},
          {"progress",
           {{"step", job.last_step}, {"total_steps", job.steps}, {"examples", job.examples}}},
          {"project_id", job.project}};
}

Json event_json(const TuningEvent& event) {
  return {{"object", "fine_tuning.job.event"},
          {"id", event.id},
          {"created_at", event.created_s},
          {"level", event.level},
          {"type", event.type},
          {"message", event.message},
          {"data", io::parse_json(event.data, "event")}};
}

TuningJob require_job(Call& call) {
  auto job = call.app.services.tuning.find(call.path["id"], call.tenant.name);
  if (!job) {
    throw_error(ErrorCode::kNotFound, "id", "Could not find fine tune: {}", call.path["id"]);
  }
  return std::move(*job);
}

void answer_job(Call& call) { call.reply->json(200, job_json(require_job(call), call.now_s())); }

void require_trainer(const Call& call) {
  if (call.app.options.trainer != nullptr) return;
  throw_error(ErrorCode::kUnsupported, "model",
              "this server does not train: its model has to be a Hugging Face folder or the one "
              "inside the program");
}

std::string read_file_id(Call& call, const Fields& fields, const char* name) {
  const auto id = fields.string(name);
  if (!id) return {};
  const auto file = call.app.services.files.find(*id, call.tenant.name, call.now_s());
  if (!file) throw_error(ErrorCode::kNotFound, name, "No such File object: {}", *id);
  if (file->purpose != "fine-tune") {
    throw_error(ErrorCode::kInvalidArgument, name,
                "'{}': expected a file with the purpose fine-tune, got {}", name, file->purpose);
  }
  return *id;
}

// `method`, or without one the older `hyperparameters` at the top.
void read_method(const Fields& fields, TuningJob& job) {
  static const Json kNothing = Json::object();
  job.method = "supervised";
  const Json* asked = fields.object("hyperparameters");
  std::string path = "hyperparameters";
  if (const Json* method = fields.object("method")) {
    const Fields inside(*method, "method");
    job.method = inside.choice("type", {"supervised", "dpo"}).value_or("supervised");
    if (const Json* own = inside.object(job.method.c_str())) {
      path = "method." + job.method + ".hyperparameters";
      asked = Fields(*own, "method." + job.method).object("hyperparameters");
    }
  }
  job.hyperparameters = read_hyperparameters(asked ? *asked : kNothing, path, job.method);
}

std::string read_suffix(const Fields& fields) {
  const std::string suffix = fields.string("suffix").value_or("");
  const bool fits = std::all_of(suffix.begin(), suffix.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!fits || suffix.size() > kSuffixBytesMax) {
    throw_error(ErrorCode::kInvalidArgument, "suffix",
                "'suffix': expected at most {} letters, digits or any of - _ .", kSuffixBytesMax);
  }
  return suffix;
}

TuningEvent event_of(Call& call, const std::string& message) {
  return {call.app.ids.make("ftevent-"), call.now_s(), "info", "message", message, "{}"};
}

void move_job(Call& call, const std::vector<std::string>& from, const char* to,
              const std::string& message) {
  const TuningJob job = require_job(call);
  if (!call.app.services.tuning.move(job.id, from, to, call.now_s(), event_of(call, message))) {
    return call.reply->error(
        conflict(fmt::format("a job with the status {} cannot become {}", job.status, to)));
  }
  call.app.services.tuning_runner->wake();
  answer_job(call);
}

}  // namespace

void create_tuning_job(Call& call) {
  require_trainer(call);
  call.app.services.files.require_place();
  const Json body = call.json_body();
  const Fields fields(body);
  TuningJob job;
  job.model = fields.require_string("model");
  choose_model(call, job.model);
  if (call.adapter != engine::kBaseModel) {
    throw_error(ErrorCode::kUnsupported, "model",
                "'model': '{}' is an adapter; only the base, '{}', can be tuned", job.model,
                call.app.model.name);
  }
  fields.require_string("training_file");
  job.base = call.app.model.name;
  job.training_file = read_file_id(call, fields, "training_file");
  job.validation_file = read_file_id(call, fields, "validation_file");
  read_method(fields, job);
  job.suffix = read_suffix(fields);
  job.seed = fields.integer("seed", 0, kSeedMax)
                 .value_or(static_cast<int64_t>(call.app.ids.number() % kSeedMax));
  job.metadata = read_metadata(fields);
  const int64_t limit = call.app.options.services.project_jobs_max;
  if (call.app.services.tuning.unfinished_of(call.tenant.name) >= limit) {
    throw_error(ErrorCode::kResourceExhausted, "",
                "project_jobs_max = {} tuning jobs of this project are not over yet", limit);
  }
  job.id = call.app.ids.make("ftjob-");
  job.project = call.tenant.name;
  job.owner = owner_of(call);
  job.api_key = call.caller.key_id;
  job.created_s = call.now_s();
  call.app.services.tuning.add(job, event_of(call, "Created fine-tuning job: " + job.id));
  call.reply->json(200, job_json(job, call.now_s()));
  call.app.services.tuning_runner->wake();
}

void list_tuning_jobs(Call& call) {
  const Query query(call.reply->request().query);
  const auto listed = call.app.services.tuning.list(listed_project(call, query),
                                                    query.page(20, 100), query.entries("metadata"));
  call.reply->json(
      200, list_json(listed, [&](const TuningJob& job) { return job_json(job, call.now_s()); }));
}

void get_tuning_job(Call& call) { answer_job(call); }

void cancel_tuning_job(Call& call) {
  using namespace job_status;
  move_job(call, {kValidating, kQueued, kRunning, kPaused}, kCancelled, "The job was cancelled");
}

void pause_tuning_job(Call& call) {
  using namespace job_status;
  move_job(call, {kQueued, kRunning}, kPaused, "The job was paused");
}

void resume_tuning_job(Call& call) {
  using namespace job_status;
  move_job(call, {kPaused}, kQueued, "The job was resumed; it goes on from its checkpoint");
}

void list_tuning_events(Call& call) {
  const TuningJob job = require_job(call);
  const Query query(call.reply->request().query);
  call.reply->json(
      200, list_json(call.app.services.tuning.events(job.id, query.page(20, 10'000)), event_json));
}

// What of a job can be asked as a model: its result. The checkpoints on the way hold the
// optimizer's state, and are for going on.
void list_tuning_checkpoints(Call& call) {
  const TuningJob job = require_job(call);
  Listed<TuningJob> checkpoints;
  if (job.status == job_status::kSucceeded) checkpoints.entries.push_back(job);
  Json metrics = {{"step", job.last_step}};
  for (const TuningEvent& event :
       call.app.services.tuning.events(job.id, {{}, 50, false}).entries) {
    if (event.type != "metrics") continue;
    const Json data = io::parse_json(event.data, "event");
    for (const char* name : {"train_loss", "valid_loss"}) {
      if (data.contains(name) && !metrics.contains(name)) metrics[name] = data[name];
    }
  }
  call.reply->json(200, list_json(checkpoints, [&](const TuningJob& done) {
                     return Json{{"object", "fine_tuning.job.checkpoint"},
                                 {"id", "ftckpt-" + done.id.substr(done.id.find('-') + 1)},
                                 {"created_at", done.finished_s},
                                 {"fine_tuned_model_checkpoint", done.fine_tuned_model},
                                 {"fine_tuning_job_id", done.id},
                                 {"metrics", metrics},
                                 {"step_number", done.last_step}};
                   }));
}

}  // namespace hearth::serve
