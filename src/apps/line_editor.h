// Reads lines from a person: editing, history kept in a file, and plain reading where there is no
// terminal.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace hearth::apps {

class LineEditor {
 public:
  explicit LineEditor(std::string history_file);
  ~LineEditor();

  // One line without its end; nothing at the end of input (Ctrl-D). Ctrl-C gives an empty line.
  std::optional<std::string> read(const std::string& prompt);
  // Whether Ctrl-C ended the last line, which is empty then.
  bool canceled() const;
  void remember(const std::string& entry);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::apps
