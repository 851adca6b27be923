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

// libedit asks for the prompt; its client data is the string.
char* prompt_of(EditLine* line) {
  void* prompt = nullptr;
  el_get(line, EL_CLIENTDATA, &prompt);
  return static_cast<std::string*>(prompt)->data();
}

}  // namespace

struct LineEditor::Impl {
  EditLine* line = nullptr;
  History* history = nullptr;
  std::string history_file;
  std::string prompt;
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
  el_set(impl_->line, EL_CLIENTDATA, &impl_->prompt);
  el_set(impl_->line, EL_PROMPT, &prompt_of);
  el_set(impl_->line, EL_EDITOR, "emacs");
  el_set(impl_->line, EL_HIST, history, impl_->history);
  el_set(impl_->line, EL_SIGNAL, 0);
  el_set(impl_->line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
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
  impl_->prompt = prompt;
  int count = 0;
  const char* bytes = el_gets(impl_->line, &count);
  if (bytes == nullptr) {
    if (count == 0) return std::nullopt;
    std::fputs("\n", stdout);
    el_reset(impl_->line);
    return text;
  }
  text.assign(bytes, static_cast<size_t>(count));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

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
