#include "apps/private_server.h"

#include <CLI/CLI.hpp>

#include "io/json.h"

namespace hearth::apps {

void add_ask_flags(CLI::App& command, AskFlags& flags) {
  add_model_flags(command, flags.model);
  flags.model.max_num_seqs = 4;
  command.add_option("--url", flags.url,
                     "Ask this OpenAI-compatible server (without /v1) instead of loading a model");
  command.add_option("--api-key", flags.api_key, "Key for --url")->envname("HEARTH_API_KEY");
  command.add_option("--system", flags.system, "System prompt");
  command
      .add_option("--temperature", flags.temperature,
                  "0 is greedy; the model's own default, if not given")
      ->check(CLI::Range(0.0, 100.0));
  command
      .add_option("--top-p", flags.top_p,
                  "Choose among the likeliest tokens of this total probability")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--max-tokens", flags.max_tokens, "Longest answer")
      ->check(CLI::PositiveNumber);
  command.add_option("--seed", flags.seed, "Same seed, same answer")->check(CLI::NonNegativeNumber);
}

io::Json request_fields(const AskFlags& flags) {
  io::Json fields = io::Json::object();
  if (flags.temperature >= 0) fields["temperature"] = flags.temperature;
  if (flags.top_p >= 0) fields["top_p"] = flags.top_p;
  if (flags.max_tokens > 0) fields["max_tokens"] = flags.max_tokens;
  if (flags.seed >= 0) fields["seed"] = flags.seed;
  return fields;
}

PrivateServer::PrivateServer(const AskFlags& flags, const Clock& clock)
    : url_(flags.url), api_key_(flags.api_key) {
  if (!url_.empty()) {
    model_ = flags.model.model;
    return;
  }
  local_ = std::make_unique<LocalModel>(flags.model, clock);
  api_key_ = serve::make_api_key();
  serve::ServerOptions options;
  options.http.port = 0;
  options.http.io_threads = 1;
  options.workers = 1;
  options.api_keys = {serve::hash_api_key("local", api_key_)};
  server_ = std::make_unique<serve::Server>(std::move(options), local_->handle(), clock);
  server_->start();
  url_ = fmt::format("http://127.0.0.1:{}", server_->port());
  model_ = local_->handle().name;
}

PrivateServer::~PrivateServer() {
  if (server_) server_->force();
}

}  // namespace hearth::apps
