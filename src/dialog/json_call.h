// Reads one tool call, {"name": ..., "arguments": {...}}, while it is being written: the name as
// soon as it is there, then the arguments' JSON text as it comes.
#pragma once

#include <string>
#include <string_view>

namespace hearth::dialog {

class JsonCall {
 public:
  JsonCall() = default;
  // A call whose name stood before the JSON, which is the arguments alone.
  explicit JsonCall(std::string name);

  enum class Status { kReading, kDone, kBroken };

  // Takes bytes off the front of `text`, up to the end of the object or the first byte that can not
  // be part of a call; once done or broken it takes none. It also stops where the name becomes
  // known, so that what the caller makes of the name does not depend on how the text was cut.
  Status feed(std::string_view& text);

  bool has_name() const { return has_name_; }
  const std::string& name() const { return name_; }
  // Argument text that came since the last call; JSON. Empty while the name is not known.
  std::string take_arguments();

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
