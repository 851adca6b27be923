// Reads one tool call that is JSON: {"name": ..., "arguments": {...}}.
#pragma once

#include <string>
#include <string_view>

#include "dialog/call_reader.h"

namespace hearth::dialog {

class JsonCall final : public CallReader {
 public:
  JsonCall() = default;
  // A call whose name stood before the JSON, which is the arguments alone.
  explicit JsonCall(std::string name);

  Status feed(std::string_view& text) override;
  bool has_name() const override { return has_name_; }
  const std::string& name() const override { return name_; }
  std::string take_arguments() override;

 private:
  enum class State {
    kStart,
    kKeyOrEnd,
    kKey,
    kColon,
    kValueStart,
    kValue,
    kAfterValue,
    kDone,
    kBroken
  };
  enum class Field { kName, kArguments, kOther };

  bool step(char c);
  bool value_start(char c);
  bool value_byte(char c);
  bool value_ended();
  bool finish_object();

  State state_ = State::kStart;
  Field field_ = Field::kOther;
  std::string token_;      // of the key or value being read
  std::string arguments_;  // not taken yet
  std::string name_;
  bool has_name_ = false;
  bool bare_ = false;  // only arguments are read
  bool has_arguments_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
  int depth_ = 0;
  size_t bytes_ = 0;
};

}  // namespace hearth::dialog
