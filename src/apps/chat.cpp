// hearth chat: a conversation in the terminal.
#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <unistd.h>

#include "apps/chat_client.h"
#include "apps/commands.h"
#include "apps/line_editor.h"
#include "apps/private_server.h"
#include "apps/word_wrap.h"
#include "base/error.h"
#include "io/json.h"

namespace hearth::apps {
namespace {

std::atomic<bool> interrupted{false};

// While an answer comes, Ctrl-C ends it and nothing else.
class InterruptGuard {
 public:
  InterruptGuard() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    sigaction(SIGINT, &action, &before_);
  }
  ~InterruptGuard() { sigaction(SIGINT, &before_, nullptr); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_ {};
};

// Escape sequences on a terminal, nothing elsewhere.
struct Style {
  const bool on = isatty(STDOUT_FILENO) != 0;
  const char* dim() const { return on ? "\033[2m" : ""; }
  const char* warm() const { return on ? "\033[38;5;208m" : ""; }
  const char* plain() const { return on ? "\033[0m" : ""; }
};

constexpr const char* kHelp =
    "  /system TEXT   set the system prompt and start over     /clear    start over\n"
    "  /set NAME N    temperature, top_p, max_tokens, seed     /retry    another answer\n"
    "  /show          the settings                             /quit     or Ctrl-D\n"
    "  \"\"\"            begins and ends a text of many lines; a line ending in \\ goes on\n"
    "  Ctrl-C         stops an answer, or forgets the line\n\n";

class Chat {
 public:
  Chat(const AskFlags& flags, const PrivateServer& server, const Clock& clock)
      : client_(server.url(), server.api_key(), clock),
        editor_(flags.model.data_dir + "/chat_history"),
        model_(server.model().empty() ? client_.first_model() : server.model()),
        system_(flags.system),
        fields_(request_fields(flags)) {}

  void run() {
    // At the prompt Ctrl-C is a key of the editor; between prompts it is nothing.
    if (style_.on) std::signal(SIGINT, SIG_IGN);
    std::printf("%sHearth%s  %s  %s/help for commands%s\n\n", style_.warm(), style_.plain(),
                model_.c_str(), style_.dim(), style_.plain());
    for (;;) {
      const auto text = read_message();
      if (!text || *text == "/quit" || *text == "/exit") break;
      if (text->empty()) continue;
      editor_.remember(*text);
      if (text->front() == '/') {
        obey(*text);
      } else {
        say(*text);
      }
    }
  }

 private:
  // A message of one or several lines; Ctrl-C forgets it.
  std::optional<std::string> read_message() {
    auto line = editor_.read("> ");
    if (!line) return std::nullopt;
    if (line->starts_with("\"\"\"")) return read_block(line->substr(3));
    std::string text = *line;
    while (text.ends_with('\\')) {
      text.back() = '\n';
      const auto more = editor_.read(". ");
      if (!more) break;
      if (editor_.canceled()) return std::string();
      text += *more;
    }
    return text;
  }

  std::string read_block(std::string text) {
    while (!text.ends_with("\"\"\"")) {
      const auto more = editor_.read(". ");
      if (!more) return text;
      if (editor_.canceled()) return {};
      text += '\n' + *more;
    }
    text.resize(text.size() - 3);
    return text;
  }

  void obey(const std::string& command) {
    const size_t space = command.find(' ');
    const std::string name = command.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : command.substr(space + 1);
    if (name == "/clear") {
      start_over();
    } else if (name == "/system") {
      system_ = rest;
      start_over();
    } else if (name == "/set") {
      set(rest);
    } else if (name == "/show") {
      std::printf("  model   %s\n  system  %s\n  fields  %s\n", model_.c_str(), system_.c_str(),
                  io::dump_json(fields_).c_str());
    } else if (name == "/retry") {
      retry();
    } else {
      if (name != "/help") std::printf("  unknown command %s\n", name.c_str());
      std::fputs(kHelp, stdout);
    }
  }

  void start_over() {
    messages_ = io::Json::array();
    note("the conversation starts over");
  }

  void note(const std::string& text) const {
    std::printf("%s  %s%s\n\n", style_.dim(), text.c_str(), style_.plain());
  }

  void set(const std::string& rest) {
    const size_t space = rest.find(' ');
    const std::string name = rest.substr(0, space);
    if (name.empty())
      return note("/set NAME VALUE sets a field of the request, /set NAME drops it");
    if (space == std::string::npos) {
      fields_.erase(name);
      return note(name + " is the model's own again");
    }
    try {
      fields_[name] = io::parse_json(rest.substr(space + 1), name);
      note(fmt::format("{} is {}", name, io::dump_json(fields_[name])));
    } catch (const Error& error) {
      std::printf("  %s\n", error.what());
    }
  }

  void retry() {
    if (!messages_.empty() && messages_.back()["role"] == "assistant")
      messages_.erase(messages_.size() - 1);
    if (!messages_.empty()) answer();
  }

  void say(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    answer();
  }

  void answer() {
    io::Json body = fields_;
    body["model"] = model_;
    body["messages"] = io::Json::array();
    if (!system_.empty()) body["messages"].push_back({{"role", "system"}, {"content", system_}});
    for (const auto& message : messages_) body["messages"].push_back(message);
    try {
      const InterruptGuard guard;
      wrap_.emplace(terminal_columns());
      const ChatAnswer answer =
          client_.ask(std::move(body), [this](const ChatDelta& delta) { return print(delta); });
      messages_.push_back({{"role", "assistant"}, {"content", answer.text}});
      print_facts(answer);
    } catch (const Error& error) {
      std::printf("\n  %s\n\n", error.what());
      messages_.erase(messages_.size() - 1);
    }
  }

  bool print(const ChatDelta& delta) {
    if (!delta.reasoning.empty()) {
      std::printf("%s%s%s", style_.dim(), wrap_->feed(delta.reasoning).c_str(), style_.plain());
    }
    const std::string text = wrap_->feed(delta.text);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    return !interrupted;
  }

  void print_facts(const ChatAnswer& answer) const {
    if (answer.finish_reason.empty()) {
      std::printf("\n%s  stopped%s\n\n", style_.dim(), style_.plain());
      return;
    }
    std::printf("\n%s  %lld tokens, %.0f tokens/s, first token after %lld ms%s%s\n\n", style_.dim(),
                static_cast<long long>(answer.output_tokens), answer.tokens_per_second(),
                static_cast<long long>(answer.first_token / kMillisecond),
                answer.finish_reason == "length" ? ", cut at the longest answer" : "",
                style_.plain());
  }

  ChatClient client_;
  LineEditor editor_;
  const Style style_;
  std::optional<WordWrap> wrap_;  // of the answer being printed
  const std::string model_;
  std::string system_;
  io::Json fields_;
  io::Json messages_ = io::Json::array();
};

}  // namespace

void add_chat_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("chat", "Talk to a model in the terminal");
  auto flags = std::make_shared<AskFlags>();
  add_ask_flags(*command, *flags);
  command->callback([flags] {
    static const SystemClock clock;
    const PrivateServer server(*flags, clock);
    Chat(*flags, server, clock).run();
  });
}

}  // namespace hearth::apps
