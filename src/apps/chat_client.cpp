#include "apps/chat_client.h"

#include <utility>

#include "base/error.h"
#include "io/json.h"
#include "load/driver.h"
#include "transport/sse.h"

namespace hearth::apps {
namespace {

using io::Json;

std::string_view text_field(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return {};
  return it->get_ref<const std::string&>();
}

// One answer as it streams in.
class Reader {
 public:
  Reader(ChatAnswer& answer, const std::function<bool(const ChatDelta&)>& tell, const Clock& clock)
      : answer_(answer),
        tell_(tell),
        clock_(clock),
        sent_(clock.now()),
        parser_([this](transport::SseEvent event) { take(event.data); }) {}

  void on_head(int status) { status_ = status; }

  bool on_bytes(std::string_view bytes) {
    if (status_ == 200) {
      parser_.feed(bytes);
    } else {
      refusal_.append(bytes);
    }
    return going_;
  }

  void end(const std::string& where) {
    answer_.total = clock_.now() - sent_;
    if (status_ == 200) return;
    std::string message = fmt::format("HTTP {}", status_);
    try {
      message = io::parse_json(refusal_, where).at("error").at("message").get<std::string>();
    } catch (const std::exception&) {
      message += ": " + refusal_.substr(0, 200);
    }
    throw_error(ErrorCode::kIo, where, "{}", message);
  }

 private:
  void take(const std::string& data) {
    if (data == "[DONE]" || !going_) return;
    const Json event = io::parse_json(data, "stream");
    if (event.contains("error"))
      throw_error(ErrorCode::kIo, "stream", "{}", text_field(event["error"], "message"));
    if (const auto usage = event.find("usage"); usage != event.end() && usage->is_object()) {
      answer_.prompt_tokens = usage->value("prompt_tokens", int64_t{0});
      answer_.output_tokens = usage->value("completion_tokens", int64_t{0});
    }
    const auto choices = event.find("choices");
    if (choices == event.end() || choices->empty()) return;
    const Json& choice = choices->front();
    if (const auto finish = text_field(choice, "finish_reason"); !finish.empty())
      answer_.finish_reason = finish;
    if (const auto delta = choice.find("delta"); delta != choice.end()) take_delta(*delta);
  }

  void take_delta(const Json& delta) {
    const ChatDelta piece{text_field(delta, "content"), text_field(delta, "reasoning_content")};
    if (piece.text.empty() && piece.reasoning.empty()) return;
    if (answer_.first_token == 0) answer_.first_token = clock_.now() - sent_;
    answer_.text += piece.text;
    going_ = tell_(piece);
  }

  ChatAnswer& answer_;
  const std::function<bool(const ChatDelta&)>& tell_;
  const Clock& clock_;
  const Nanos sent_;
  transport::SseParser parser_;
  std::string refusal_;
  int status_ = 0;
  bool going_ = true;
};

}  // namespace

double ChatAnswer::tokens_per_second() const {
  const Nanos generating = total - first_token;
  if (output_tokens < 2 || generating <= 0) return 0;
  return static_cast<double>(output_tokens - 1) * kSecond / static_cast<double>(generating);
}

ChatClient::ChatClient(std::string url, std::string api_key, const Clock& clock)
    : url_(std::move(url)),
      api_key_(std::move(api_key)),
      clock_(clock),
      http_(transport::make_http_client()) {}

std::string ChatClient::first_model() {
  return load::first_model(*http_, {.url = url_, .api_key = api_key_});
}

ChatAnswer ChatClient::ask(Json body, const std::function<bool(const ChatDelta&)>& reader) {
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  transport::ClientRequest request;
  request.method = "POST";
  request.url = url_ + "/v1/chat/completions";
  request.headers.add("Content-Type", "application/json");
  if (!api_key_.empty()) request.headers.add("Authorization", "Bearer " + api_key_);
  request.body = io::dump_json(body);
  ChatAnswer answer;
  Reader collector(answer, reader, clock_);
  http_->stream(request,
                {[&](const transport::HttpResponse& head) { collector.on_head(head.status); },
                 [&](std::string_view bytes) { return collector.on_bytes(bytes); }});
  collector.end(url_);
  return answer;
}

}  // namespace hearth::apps
