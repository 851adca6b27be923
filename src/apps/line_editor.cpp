#include "apps/line_editor.h"

#include <clocale>
#include <cstdio>
#include <filesystem>
#include <histedit.h>
#include <iostream>
#include <unistd.h>
#include <utility>

namespace hearth::apps {
namespace {

constexpr int kHistoryEntries = 1000;

// What libedit's callbacks see: its client data.
struct Reading {
  std::string prompt;
  bool canceled = false;
};

Reading& reading_of(EditLine* line) {
  void* reading = nullptr;
  el_get(line, EL_CLIENTDATA, &reading);
  return *static_cast<Reading*>(reading);
}

char* prompt_of(EditLine* line) { return reading_of(line).prompt.data(); }

unsigned char cancel(EditLine* line, int) {
  reading_of(line).canceled = true;
  return CC_EOF;
}

}  // namespace

struct LineEditor::Impl {
  EditLine* line = nullptr;
  History* history = nullptr;
  std::string history_file;
  Reading reading;
};

LineEditor::LineEditor(std::string history_file) : impl_(std::make_unique<Impl>()) {
  impl_->history_file = std::move(history_file);
  if (!isatty(STDIN_FILENO)) return;
  std::setlocale(LC_CTYPE, std::setlocale(LC_CTYPE, "") != nullptr ? "" : "C.UTF-8");
  impl_->line = el_init("hearth", stdin, stdout, stderr);
  impl_->history = history_init();
  HistEvent event{};
  history(impl_->history, &event, H_SETSIZE, kHistoryEntries);
  history(impl_->history, &event, H_SETUNIQUE, 1);
  history(impl_->history, &event, H_LOAD, impl_->history_file.c_str());
  el_set(impl_->line, EL_CLIENTDATA, &impl_->reading);
  el_set(impl_->line, EL_PROMPT, &prompt_of);
  el_set(impl_->line, EL_EDITOR, "emacs");
  el_set(impl_->line, EL_HIST, history, impl_->history);
  el_set(impl_->line, EL_SIGNAL, 0);
  el_set(impl_->line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  // While a line is typed Ctrl-C is a key: as a signal it would end the program and leave the
  // terminal without echo.
  el_set(impl_->line, EL_SETTY, "-d", "-isig", nullptr);
  el_set(impl_->line, EL_ADDFN, "hearth-cancel", "Forget the line", &cancel);
  el_set(impl_->line, EL_BIND, "^C", "hearth-cancel", nullptr);
}

LineEditor::~LineEditor() {
  if (impl_->history != nullptr) history_end(impl_->history);
  if (impl_->line != nullptr) el_end(impl_->line);
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  std::string text;
  if (impl_->line == nullptr) {
    if (!std::getline(std::cin, text)) return std::nullopt;
    return text;
  }
  impl_->reading = {prompt, false};
  int count = 0;
  const char* bytes = el_gets(impl_->line, &count);
  if (bytes == nullptr || impl_->reading.canceled) {
    std::fputs("\n", stdout);
    el_reset(impl_->line);
    return impl_->reading.canceled ? std::optional(text) : std::nullopt;
  }
  text.assign(bytes, static_cast<size_t>(count));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

bool LineEditor::canceled() const { return impl_->reading.canceled; }

void LineEditor::remember(const std::string& entry) {
  if (impl_->history == nullptr || entry.find('\n') != std::string::npos) return;
  HistEvent event{};
  history(impl_->history, &event, H_ENTER, entry.c_str());
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(impl_->history_file).parent_path(),
                                      ignored);
  history(impl_->history, &event, H_SAVE, impl_->history_file.c_str());
}

}  // namespace hearth::apps
