#include "serve/batches/batch_runner.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "flywheel/ptu.h"
#include "io/file.h"
#include "io/json.h"
#include "serve/batches/batch_input.h"
#include "serve/files/line_reader.h"
#include "serve/tenants/metered_surface.h"

namespace hearth::serve {
namespace {

using io::Json;
using transport::HttpRequest;
using transport::HttpResponse;

constexpr int64_t kItemsAtOnce = 256;
constexpr int64_t kForgottenAtOnce = 500;

// Try again later; everything else is an answer.
bool is_push_back(int status) { return status == 429 || status == 503; }

Json faults_json(const std::vector<LineFault>& faults) {
  Json out = Json::array();
  for (const LineFault& fault : faults) {
    out.push_back({{"code", fault.code},
                   {"message", fault.message},
                   {"param", fault.param.empty() ? Json(nullptr) : Json(fault.param)},
                   {"line", fault.line == 0 ? Json(nullptr) : Json(fault.line)}});
  }
  return out;
}

int64_t work_of(const HttpResponse& response) {
  const std::string* told = response.headers.find(kWorkHeader);
  return told ? std::llround(std::stod(*told) * flywheel::kMicro) : 0;
}

// Chat, completions and embeddings say prompt_tokens, responses say input_tokens.
UsageCounts usage_of(const HttpResponse& response, const Json& body) {
  UsageCounts counts{.requests = 1, .micro_ptu_minutes = work_of(response)};
  if (!body.is_object() || !body.contains("usage") || !body["usage"].is_object()) return counts;
  const Json& usage = body["usage"];
  const auto number = [](const Json& in, const char* name) {
    const auto found = in.find(name);
    return found != in.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
  };
  const auto cached = [&](const char* name) {
    const auto found = usage.find(name);
    return found != usage.end() && found->is_object() ? number(*found, "cached_tokens") : 0;
  };
  counts.prompt_tokens = number(usage, "prompt_tokens") + number(usage, "input_tokens");
  counts.generated_tokens = number(usage, "completion_tokens") + number(usage, "output_tokens");
  counts.cached_tokens = cached("prompt_tokens_details") + cached("input_tokens_details");
  return counts;
}

Json parse_or_text(const std::string& body) {
  Json json = Json::parse(body, nullptr, false);
  return json.is_discarded() ? Json(body) : json;
}

}  // namespace

BatchRunner::BatchRunner(House house)
    : house_(std::move(house)), serial_(std::make_shared<Serial>(house_.executor)) {}

void BatchRunner::post(Task task) {
  serial_->post([self = shared_from_this(), task = std::move(task)] {
    try {
      task();
    } catch (const std::exception& error) {
      log::error("batches error=\"{}\"", error.what());
    }
  });
}

void BatchRunner::wake() {
  if (stopped_ || woken_.exchange(true)) return;
  post([this] {
    woken_ = false;
    look();
  });
}

void BatchRunner::stop() { stopped_ = true; }

void BatchRunner::look() {
  if (stopped_) return;
  pushed_back_ = false;
  refresh();
  give_up_where_over();
  fill();
  close_where_done();
  house_.store.forget_items(kForgottenAtOnce);
}

void BatchRunner::refresh() {
  for (Batch& batch : house_.store.active()) {
    Active& active = active_[batch.id];
    active.batch = std::move(batch);
    if (active.batch.status == batch_status::kValidating) validate(active);
  }
}

// Items go to the store as they are found; after a crash they are found again, and are the same.
void BatchRunner::validate(Active& active) {
  Batch& batch = active.batch;
  const auto file = house_.files.find(batch.input_file, batch.project, now_s());
  std::vector<LineFault> faults;
  int64_t total = 0;
  if (file) {
    faults = read_batch_input(
        house_.files.path_of(file->id), batch.endpoint, house_.limits,
        [&](const std::vector<BatchItem>& items) { house_.store.add_items(batch.id, items); },
        total);
  } else {
    faults.push_back({"invalid_input_file", "the input file is gone", "input_file_id", 0});
  }
  if (faults.empty()) {
    house_.store.begin(batch.id, total, now_s());
    log::info("batch begun id={} project={} requests={}", batch.id, batch.project, total);
  } else {
    house_.store.fail(batch.id, io::dump_json(faults_json(faults)), now_s());
    log::info("batch refused id={} project={} faults={}", batch.id, batch.project, faults.size());
  }
  batch = *house_.store.find(batch.id, batch.project);
  if (is_over(batch)) active_.erase(std::string(batch.id));
}

// One item of each batch in turn, so that a large one holds up nobody.
void BatchRunner::fill() {
  while (!stopped_ && !pushed_back_ && in_flight_ < house_.room()) {
    auto at = active_.upper_bound(turn_);
    bool begun = false;
    for (size_t i = 0; i < active_.size() && !begun; ++i) {
      if (at == active_.end()) at = active_.begin();
      turn_ = at->first;
      begun = begin_one(at->second);
      ++at;
    }
    if (!begun) return;
  }
}

bool BatchRunner::begin_one(Active& active) {
  const Batch& batch = active.batch;
  if (batch.status != batch_status::kInProgress || batch.expires_s <= now_s()) return false;
  if (active.waiting.empty() && !active.read_all) {
    const auto items = house_.store.pending(batch.id, active.read_to, kItemsAtOnce);
    active.read_all = std::ssize(items) < kItemsAtOnce;
    if (!items.empty()) active.read_to = items.back().line;
    active.waiting.assign(items.begin(), items.end());
  }
  if (active.waiting.empty()) return false;
  const BatchItem item = std::move(active.waiting.front());
  active.waiting.pop_front();
  active.in_flight[item.line];
  ++in_flight_;
  const auto done = [self = shared_from_this(), id = batch.id, item](HttpResponse response) {
    self->post([self, id, item, response = std::move(response)] {
      self->take_answer(id, item, response);
    });
  };
  try {
    const std::string line =
        read_part(house_.files.path_of(batch.input_file), item.begin, item.bytes);
    HttpRequest request;
    request.method = "POST";
    request.path = batch.endpoint;
    request.body = io::dump_json(io::parse_json(line, "line")["body"]);
    request.peer = "batch";
    active.in_flight[item.line] = house_.send(batch, std::move(request), done);
  } catch (const Error& error) {
    const Json body = {{"error", {{"message", error.text}, {"code", "invalid_input_file"}}}};
    done({400, {}, io::dump_json(body)});
  }
  return true;
}

void BatchRunner::take_answer(const std::string& id, const BatchItem& item,
                              const HttpResponse& response) {
  --in_flight_;
  const auto found = active_.find(id);
  if (found == active_.end()) return;
  Active& active = found->second;
  active.in_flight.erase(item.line);
  if (is_push_back(response.status)) {
    active.waiting.push_front(item);
    pushed_back_ = true;
  } else {
    const std::string* request_id = response.headers.find("x-request-id");
    const Json body = parse_or_text(response.body);
    const Json answer = {{"id", house_.ids.make("batch_req_")},
                         {"custom_id", item.custom_id},
                         {"response",
                          {{"status_code", response.status},
                           {"request_id", request_id ? *request_id : std::string()},
                           {"body", body}}},
                         {"error", nullptr}};
    const bool answered = response.status >= 200 && response.status < 300;
    UsageLabels labels{active.batch.project, active.batch.api_key, house_.base_model, {}, "batch"};
    if (answered && body.is_object() && body.contains("model") && body["model"].is_string() &&
        body["model"] != house_.base_model) {
      labels.adapter = body["model"].get<std::string>();
    }
    house_.store.record(active.batch, item.line,
                        answered ? ItemStatus::kAnswered : ItemStatus::kFailed,
                        io::dump_json(answer), labels, usage_of(response, body), now_s());
  }
  fill();
  close_where_done();
}

// What is under way may have to wait as long as anybody else is served: nobody waits for it.
void BatchRunner::give_up_where_over() {
  for (const auto& [id, active] : active_) {
    const bool cancelled = active.batch.status == batch_status::kCancelling;
    if (!cancelled && active.batch.expires_s > now_s()) continue;
    for (const auto& [line, give_up] : active.in_flight) {
      if (give_up) give_up();
    }
  }
}

void BatchRunner::close_where_done() {
  for (auto at = active_.begin(); at != active_.end();) {
    Active& active = (at++)->second;  // close() takes it away
    if (!active.in_flight.empty() || stopped_) continue;
    const std::string& status = active.batch.status;
    const bool ran_out = active.read_all && active.waiting.empty();
    if (status == batch_status::kCancelling) {
      close(active, batch_status::kCancelled);
    } else if (status == batch_status::kFinalizing ||
               (status == batch_status::kInProgress && ran_out)) {
      house_.store.finalizing(active.batch.id, now_s());
      close(active, batch_status::kCompleted);
    } else if (status == batch_status::kInProgress && active.batch.expires_s <= now_s()) {
      close(active, batch_status::kExpired);
    }
  }
}

void BatchRunner::close(Active& active, const char* status) {
  const std::string id = active.batch.id;
  const bool expired = status == batch_status::kExpired;
  // What was not begun in time is told as a failure of its own kind.
  for (int64_t line = 0; expired;) {
    const auto items = house_.store.pending(id, line, kItemsAtOnce);
    for (const BatchItem& item : items) {
      const Json answer = {{"id", house_.ids.make("batch_req_")},
                           {"custom_id", item.custom_id},
                           {"response", nullptr},
                           {"error",
                            {{"code", "batch_expired"},
                             {"message",
                              "This request could not be executed before the completion window "
                              "expired."}}}};
      house_.store.record(
          active.batch, item.line, ItemStatus::kFailed, io::dump_json(answer),
          {active.batch.project, active.batch.api_key, house_.base_model, {}, "batch"}, {},
          now_s());
      line = item.line;
    }
    if (items.empty()) break;
  }
  const auto output = write_file(active, ItemStatus::kAnswered, "output");
  const auto errors = write_file(active, ItemStatus::kFailed, "error");
  house_.store.finish(active.batch, status, output, errors, now_s());
  log::info("batch over id={} project={} status={}", id, active.batch.project, status);
  active_.erase(id);
}

// Nothing, where there is nothing to write.
std::optional<StoredFile> BatchRunner::write_file(const Active& active, ItemStatus status,
                                                  const char* what) {
  const Batch& batch = active.batch;
  auto answers = house_.store.answers(batch.id, status, 0, kItemsAtOnce);
  if (answers.empty()) return std::nullopt;
  StoredFile file;
  file.id = house_.ids.make("file-");
  file.project = batch.project;
  file.filename = fmt::format("{}_{}.jsonl", batch.id, what);
  file.purpose = "batch_output";
  file.created_s = now_s();
  if (batch.output_expires_after_s > 0) {
    file.expires_s = file.created_s + batch.output_expires_after_s;
  }
  io::AtomicFile bytes(house_.files.path_of(file.id));
  while (!answers.empty()) {
    for (const BatchStore::Answer& answer : answers) {
      const std::string line = answer.text + "\n";
      bytes.append(std::as_bytes(std::span(line)));
    }
    answers = house_.store.answers(batch.id, status, answers.back().line, kItemsAtOnce);
  }
  bytes.commit();
  file.bytes = static_cast<int64_t>(bytes.size());
  return file;
}

}  // namespace hearth::serve
