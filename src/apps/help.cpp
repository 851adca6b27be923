#include "apps/help.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "apps/word_wrap.h"

namespace hearth::apps {
namespace {

constexpr size_t kLeftColumns = 30;
constexpr size_t kCommandColumns = 15;
constexpr char kJoint = '\x1f';  // a space at which no line is broken
constexpr int kLeastColumns = 60;
constexpr int kMostColumns = 100;
constexpr int kColumnsOfFiles = 80;  // where the output is no terminal

// What stands for a value; CLI11 adds the bounds that it checks, which would fill the line.
std::string placeholder(const CLI::Option& option) {
  static const std::map<std::string, std::string, std::less<>> kShort = {
      {"INT", "N"}, {"UINT", "N"}, {"FLOAT", "X"}, {"TEXT", "TEXT"}};
  const std::string type = option.get_type_name();
  if (type.empty() || option.get_type_size() == 0) return {};
  if (type.find(":FILE") != std::string::npos) return "FILE";
  if (type.find(":SIZE") != std::string::npos) return "SIZE";
  const auto found = kShort.find(type.substr(0, type.find(':')));
  return found == kShort.end() ? type : found->second;
}

std::string notes(const CLI::Option& option) {
  std::vector<std::string> notes;
  if (option.get_required()) notes.emplace_back("required");
  if (!option.get_default_str().empty()) notes.push_back("default " + option.get_default_str());
  if (!option.get_envname().empty()) notes.push_back("or $" + option.get_envname());
  std::string text;
  for (std::string& note : notes) {
    std::replace(note.begin(), note.end(), ' ', kJoint);
    text += " [" + note + "]";
  }
  return text;
}

class Page {
 public:
  Page() {
    const int columns = terminal_columns();
    if (columns > 0) bold_ = "\033[1m", plain_ = "\033[0m";
    columns_ = static_cast<size_t>(columns == 0 ? kColumnsOfFiles
                                                : std::clamp(columns, kLeastColumns, kMostColumns));
  }

  void heading(const std::string& text) { text_ += fmt::format("\n{}{}{}\n", bold_, text, plain_); }
  void paragraph(const std::string& text) { wrap(text, 0, 0); }

  void entry(const std::string& left, const std::string& right, size_t indent = kLeftColumns) {
    text_ += "  " + left;
    size_t column = left.size() + 2;
    if (column + 2 > indent) {
      text_ += "\n";
      column = 0;
    }
    text_.append(indent - column, ' ');
    wrap(right, indent, indent);
  }

  void line(const std::string& text) { text_ += text + "\n"; }

  // Examples are indented; what is not is said in sentences.
  void footer(const std::string& text) {
    if (text.empty()) return;
    if (text.starts_with(' ')) {
      heading("Examples");
    } else {
      text_ += "\n";
    }
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string one = text.substr(begin, end - begin);
      if (one.starts_with(' ')) {
        line(one);
      } else {
        paragraph(one);
      }
      begin = end + 1;
    }
  }

  std::string take() {
    std::replace(text_.begin(), text_.end(), kJoint, ' ');
    return std::move(text_);
  }

 private:
  // From `column` on; new lines begin at `indent`.
  void wrap(std::string_view text, size_t column, size_t indent) {
    bool first = true;
    while (!text.empty()) {
      const std::string_view word = text.substr(0, text.find_first_of(" \n"));
      const bool breaks = word.size() < text.size() && text[word.size()] == '\n';
      if (!first && column + 1 + word.size() > columns_) {
        text_ += "\n" + std::string(indent, ' ');
        column = indent;
        first = true;
      }
      if (!first) text_ += ' ', ++column;
      text_ += word;
      column += word.size();
      first = false;
      text.remove_prefix(std::min(word.size() + 1, text.size()));
      if (!breaks) continue;
      text_ += "\n" + std::string(indent, ' ');
      column = indent;
      first = true;
    }
    text_ += "\n";
  }

  std::string text_;
  size_t columns_ = kColumnsOfFiles;
  const char* bold_ = "";
  const char* plain_ = "";
};

class HelpLayout final : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode /*mode*/) const override {
    Page page;
    page.paragraph(app->get_description());
    page.heading("Usage");
    page.line("  " + usage(*app, name));
    add_commands(page, *app);
    add_options(page, *app);
    page.footer(app->get_footer());
    return page.take();
  }

 private:
  static std::vector<const CLI::Option*> positionals(const CLI::App& app) {
    return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
  }

  static std::string usage(const CLI::App& app, const std::string& name) {
    std::string line = name;
    if (!app.get_subcommands({}).empty()) line += " COMMAND";
    line += " [OPTIONS]";
    for (const CLI::Option* option : positionals(app)) {
      const std::string argument = option->get_name(true, false);
      line += option->get_required() ? " " + argument : " [" + argument + "]";
    }
    return line;
  }

  static void add_commands(Page& page, const CLI::App& app) {
    std::string group;
    for (const CLI::App* command : app.get_subcommands({})) {
      if (command->get_group().empty()) continue;  // not for people
      if (command->get_group() != group) page.heading(group = command->get_group());
      page.entry(command->get_name(), command->get_description(), kCommandColumns);
    }
  }

  static void add_options(Page& page, const CLI::App& app) {
    const auto arguments = positionals(app);
    if (!arguments.empty()) page.heading("Arguments");
    for (const CLI::Option* option : arguments) {
      page.entry(option->get_name(true, false), option->get_description() + notes(*option));
    }
    for (const std::string& group : app.get_groups()) {
      const auto options = app.get_options([&](const CLI::Option* option) {
        return option->get_group() == group && option->nonpositional();
      });
      if (group.empty() || options.empty()) continue;
      page.heading(group);
      for (const CLI::Option* option : options) {
        std::string left = option->get_name(false, true);
        if (const size_t comma = left.find(','); comma != std::string::npos) {
          left.insert(comma + 1, " ");
        }
        const std::string value = placeholder(*option);
        page.entry(value.empty() ? left : left + " " + value,
                   option->get_description() + notes(*option));
      }
    }
  }
};

}  // namespace

void use_help_layout(CLI::App& app) { app.formatter(std::make_shared<HelpLayout>()); }

}  // namespace hearth::apps
