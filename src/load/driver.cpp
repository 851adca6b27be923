#include "load/driver.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "io/json.h"
#include "transport/sse.h"

namespace hearth::load {
namespace {

using io::Json;

std::string words(int32_t count, uint64_t seed) {
  static constexpr const char* kWords[] = {
      "the", "a",   "one",  "day",  "was",  "and",  "to",   "in",   "it",   "said",
      "big", "red", "tree", "dog",  "cat",  "sun",  "went", "with", "her",  "his",
      "not", "but", "very", "play", "home", "said", "saw",  "ball", "park", "mom"};
  Random random(seed);
  std::string text;
  for (int32_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += kWords[random.below(std::size(kWords))];
  }
  return text;
}

std::string request_body(const PlannedRequest& planned, const DriverOptions& options,
                         uint64_t index) {
  Json body = {{"model", options.model},
               {"max_tokens", planned.output_tokens},
               {"temperature", options.temperature},
               {"ignore_eos", true},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  const std::string prompt = words(planned.prompt_tokens, split_mix(options.seed) ^ index);
  if (options.endpoint == Endpoint::kChat) {
    body["messages"] = Json::array({{{"role", "user"}, {"content", prompt}}});
  } else {
    body["prompt"] = prompt;
  }
  return io::dump_json(body);
}

transport::ClientRequest http_request(const DriverOptions& options, const char* path) {
  transport::ClientRequest request;
  request.url = options.url + path;
  if (!options.api_key.empty()) request.headers.add("Authorization", "Bearer " + options.api_key);
  return request;
}

// Collects one streamed answer.
class Answer {
 public:
  Answer(RequestRecord& record, const Clock& clock, Nanos start)
      : record_(record),
        clock_(clock),
        start_(start),
        parser_([this](transport::SseEvent event) { take(event.data); }) {}

  void on_head(int status) { record_.status = status; }

  void on_bytes(std::string_view bytes) {
    if (record_.status == 200) {
      parser_.feed(bytes);
    } else {
      error_body_.append(bytes.substr(0, 4096 - std::min<size_t>(4096, error_body_.size())));
    }
  }

  void end() {
    record_.ended = clock_.now() - start_;
    if (record_.status != 200)
      record_.error = fmt::format("HTTP {}: {}", record_.status, error_text());
    if (record_.error.empty() && !done_) record_.error = "the stream ended before [DONE]";
    if (record_.output_tokens == 0)
      record_.output_tokens = static_cast<int64_t>(record_.token_times.size());
  }

 private:
  void take(const std::string& data) {
    if (data == "[DONE]") {
      done_ = true;
      return;
    }
    const Json event = io::parse_json(data, "stream");
    if (event.contains("error")) {
      record_.error = event["error"].value("message", "error in the stream");
      return;
    }
    if (has_text(event)) record_.token_times.push_back(clock_.now() - start_);
    const auto usage = event.find("usage");
    if (usage != event.end() && usage->is_object()) take_usage(*usage);
  }

  static bool has_text(const Json& event) {
    const auto choices = event.find("choices");
    if (choices == event.end() || !choices->is_array() || choices->empty()) return false;
    const Json& choice = choices->front();
    if (choice.contains("text")) return true;
    const auto delta = choice.find("delta");
    return delta != choice.end() &&
           (delta->contains("content") || delta->contains("reasoning_content")) &&
           !delta->contains("role");
  }

  void take_usage(const Json& usage) {
    record_.prompt_tokens = usage.value("prompt_tokens", int64_t{0});
    record_.output_tokens = usage.value("completion_tokens", int64_t{0});
    const auto details = usage.find("prompt_tokens_details");
    if (details != usage.end() && details->is_object()) {
      record_.cached_tokens = io::json_get<int64_t>(*details, "cached_tokens", 0, "usage");
    }
  }

  std::string error_text() const {
    try {
      return io::parse_json(error_body_, "error").at("error").at("message").get<std::string>();
    } catch (const std::exception&) {
      return error_body_.substr(0, 200);
    }
  }

  RequestRecord& record_;
  const Clock& clock_;
  const Nanos start_;
  transport::SseParser parser_;
  std::string error_body_;
  bool done_ = false;
};

void send_one(const PlannedRequest& planned, uint64_t index, const DriverOptions& options,
              transport::HttpClient& client, const Clock& clock, Nanos start,
              RequestRecord& record) {
  auto request = http_request(
      options, options.endpoint == Endpoint::kChat ? "/v1/chat/completions" : "/v1/completions");
  request.method = "POST";
  request.headers.add("Content-Type", "application/json");
  request.body = request_body(planned, options, index);
  record.sent = clock.now() - start;
  record.late = record.sent - planned.at;
  Answer answer(record, clock, start);
  try {
    client.stream(request,
                  {[&](const transport::HttpResponse& head) { answer.on_head(head.status); },
                   [&](std::string_view bytes) {
                     answer.on_bytes(bytes);
                     return true;
                   }});
    answer.end();
  } catch (const Error& error) {
    record.error = error.what();
    record.ended = clock.now() - start;
  }
}

void wait_until(Nanos time, const Clock& clock) {
  for (Nanos left = time - clock.now(); left > 0; left = time - clock.now()) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(left));
  }
}

}  // namespace

std::string first_model(transport::HttpClient& client, const DriverOptions& options) {
  const auto response = client.send(http_request(options, "/v1/models"));
  if (response.status != 200) {
    throw_error(ErrorCode::kIo, options.url, "/v1/models answered {}", response.status);
  }
  const Json list = io::parse_json(response.body, options.url + "/v1/models");
  const auto data = list.find("data");
  if (data == list.end() || !data->is_array() || data->empty()) {
    throw_error(ErrorCode::kNotFound, options.url, "the server lists no model");
  }
  return io::json_require<std::string>(data->front(), "id", "/v1/models");
}

std::vector<RequestRecord> drive(const std::vector<PlannedRequest>& plan,
                                 const DriverOptions& options, const MakeClient& make_client,
                                 const Clock& clock, const OnProgress& on_progress) {
  std::vector<RequestRecord> records(plan.size());
  std::atomic<size_t> next = 0;
  std::mutex progress_mutex;
  size_t done = 0;
  const Nanos start = clock.now();
  const auto work = [&] {
    const auto client = make_client();
    for (size_t i = next++; i < plan.size(); i = next++) {
      wait_until(start + plan[i].at, clock);
      send_one(plan[i], i, options, *client, clock, start, records[i]);
      const std::scoped_lock lock(progress_mutex);
      on_progress(++done, plan.size());
    }
  };
  std::vector<std::jthread> threads;
  const size_t count =
      std::min(plan.size(), static_cast<size_t>(std::max(1, options.concurrency_max)));
  for (size_t i = 0; i < count; ++i) threads.emplace_back(work);
  threads.clear();
  return records;
}

}  // namespace hearth::load
