// Where `chat` and `run` ask: a server elsewhere (--url), or one inside this process on a loopback
// port that nobody else can use, because it wants a key that only this process knows.
#pragma once

#include <memory>
#include <string>

#include "apps/local_model.h"
#include "apps/model_flags.h"
#include "serve/server.h"

namespace CLI {
class App;
}

namespace hearth::apps {

struct AskFlags {
  ModelFlags model;
  std::string url;          // empty: load the model here
  std::string api_key;      // for --url
  std::string system;       // system prompt
  double temperature = -1;  // below 0: the model's own default
  double top_p = -1;        // likewise
  int64_t max_tokens = 0;   // 0: as many as fit
  int64_t seed = -1;        // below 0: another one each time
};

void add_ask_flags(CLI::App& command, AskFlags& flags);
// The request's fields that the flags ask for.
io::Json request_fields(const AskFlags& flags);

class PrivateServer {
 public:
  PrivateServer(const AskFlags& flags, const Clock& clock);
  ~PrivateServer();

  const std::string& url() const { return url_; }
  const std::string& api_key() const { return api_key_; }
  // How the model is called there; empty: ask the server.
  const std::string& model() const { return model_; }

 private:
  std::unique_ptr<LocalModel> local_;
  std::unique_ptr<serve::Server> server_;
  std::string url_;
  std::string api_key_;
  std::string model_;
};

}  // namespace hearth::apps
