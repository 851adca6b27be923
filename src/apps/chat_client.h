// Talks to /v1/chat/completions of any OpenAI-compatible server and hands the answer on as it
// comes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "io/json_fwd.h"
#include "transport/http_client.h"

namespace hearth::apps {

struct ChatAnswer {
  std::string text;
  std::string finish_reason;  // empty when the reader stopped
  int64_t prompt_tokens = 0;
  int64_t output_tokens = 0;
  Nanos first_token = 0;  // since the question was sent
  Nanos total = 0;
  double tokens_per_second() const;  // of generation, the first token left out
};

struct ChatDelta {
  std::string_view text;
  std::string_view reasoning;
};

class ChatClient {
 public:
  ChatClient(std::string url, std::string api_key, const Clock& clock);

  // The first model that the server lists.
  std::string first_model();
  // `body` is a request without stream fields. The reader returns false to stop. Throws Error with
  // the server's words.
  ChatAnswer ask(io::Json body, const std::function<bool(const ChatDelta&)>& reader);

 private:
  const std::string url_;
  const std::string api_key_;
  const Clock& clock_;
  std::unique_ptr<transport::HttpClient> http_;
};

}  // namespace hearth::apps
