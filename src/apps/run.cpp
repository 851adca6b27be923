// hearth run: one question, one answer, on standard output; made for pipes and scripts.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <unistd.h>

#include "apps/chat_client.h"
#include "apps/commands.h"
#include "apps/private_server.h"
#include "base/error.h"
#include "base/log.h"
#include "io/json.h"

namespace hearth::apps {
namespace {

struct Run {
  AskFlags ask;
  std::string prompt;
};

std::string read_prompt(const Run& options) {
  std::string prompt = options.prompt;
  if (!isatty(STDIN_FILENO) && (prompt.empty() || prompt == "-")) {
    prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  if (prompt.empty())
    throw_error(ErrorCode::kInvalidArgument, "--prompt", "say what to ask, or pipe it in");
  return prompt;
}

void run_run(const Run& options) {
  static const SystemClock clock;
  const std::string prompt = read_prompt(options);
  const PrivateServer server(options.ask, clock);
  ChatClient client(server.url(), server.api_key(), clock);
  io::Json body = request_fields(options.ask);
  body["model"] = server.model().empty() ? client.first_model() : server.model();
  body["messages"] = io::Json::array();
  if (!options.ask.system.empty())
    body["messages"].push_back({{"role", "system"}, {"content", options.ask.system}});
  body["messages"].push_back({{"role", "user"}, {"content", prompt}});
  const ChatAnswer answer = client.ask(std::move(body), [](const ChatDelta& delta) {
    std::fwrite(delta.text.data(), 1, delta.text.size(), stdout);
    return std::fflush(stdout) == 0;
  });
  std::fputs("\n", stdout);
  log::debug(
      "answered prompt_tokens={} output_tokens={} first_token_ms={} tokens_per_second={:.1f}",
      answer.prompt_tokens, answer.output_tokens, answer.first_token / kMillisecond,
      answer.tokens_per_second());
}

}  // namespace

void add_run_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Ask once and print the answer, for scripts");
  command->footer(
      "  hearth run -p 'Tell me a story'\n"
      "  hearth run path/to/model < question.txt > answer.txt");
  auto options = std::make_shared<Run>();
  add_ask_flags(*command, options->ask);
  command->add_option("-p,--prompt", options->prompt,
                      "The question; standard input, if not given or '-'");
  command->callback([options] { run_run(*options); });
}

}  // namespace hearth::apps
