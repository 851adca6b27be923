// Reads a call whose arguments stand between tags, as Qwen3-Coder and its like write them:
//
//   <function=NAME> <parameter=KEY> VALUE </parameter> ... </function>
//
// One line break after the opening and one before the closing tag of a parameter belong to the
// tags. A value is text; what the tool's schema says of the parameter makes it JSON. Strings are
// passed on as they come.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dialog/call_reader.h"
#include "dialog/tool_signature.h"

namespace hearth::dialog {

class XmlCall final : public CallReader {
 public:
  static constexpr std::string_view kOpen = "<function=";

  // `tools` outlives this.
  explicit XmlCall(const std::vector<ToolSignature>& tools) : tools_(tools) {}

  Status feed(std::string_view& text) override;
  bool has_name() const override { return !name_.empty(); }
  const std::string& name() const override { return name_; }
  std::string take_arguments() override;

 private:
  enum class State { kOpen, kName, kBetween, kKey, kValueStart, kValue, kDone, kBroken };

  bool step(char c);
  bool between();
  void begin_value();
  void value_byte(char c);
  void end_value();
  // The types of the parameter being read; empty for those that nobody declared.
  std::set<std::string> types() const;

  const std::vector<ToolSignature>& tools_;
  State state_ = State::kOpen;
  std::string token_;  // of the tag or value being read
  std::string key_;
  std::string name_;
  std::string arguments_;  // not taken yet
  bool is_string_ = false;
  size_t parameters_ = 0;
  size_t bytes_ = 0;
};

}  // namespace hearth::dialog
