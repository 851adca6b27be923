// Takes a reply apart while it is being generated: reasoning, text and tool calls, in order.
//
// Text that may be the start of a marker is held back until it is clear. What begins like a call
// and turns out not to be one is given back as text: nothing of a reply is lost but the markers
// themselves and the white space around them. One object per reply; not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dialog/call_reader.h"
#include "dialog/pythonic.h"
#include "dialog/reply_format.h"
#include "dialog/tool_signature.h"

namespace hearth::dialog {

struct Part {
  enum class Kind {
    kText,
    kReasoning,
    kToolCall,   // a call begins: tool_index, name
    kArguments,  // more of the arguments' JSON text of call tool_index, in `text`
  };
  Kind kind = Kind::kText;
  std::string text;
  int tool_index = 0;
  std::string name;
};

class ReplyParser {
 public:
  // `prompt` is the text that the reply continues: it may have opened the reasoning already.
  // `tools` are those that may be called; with none, calls are not looked for.
  ReplyParser(ReplyFormat format, std::vector<ToolSignature> tools, std::string_view prompt);

  std::vector<Part> feed(std::string_view text);
  // What was held back. Call once, after the last feed.
  std::vector<Part> finish();
  // Whether what comes next is reasoning.
  bool reasoning() const { return state_ == State::kReasoning; }

 private:
  enum class State {
    kStart,  // nothing but white space yet
    kReasoning,
    kText,
    kBody,       // a call's marker was seen: what it consists of is next
    kCall,       // inside of one call
    kAfterCall,  // between calls, or before a closing marker
    kPythonic,   // inside the brackets of [f(a=1)]
  };
  enum class Step { kAgain, kWait };

  Step step();
  Step start();
  Step reasoning();
  Step text();
  Step body();
  Step name_first();
  Step call();
  Step after_call();
  Step pythonic();

  Step begin_call(std::unique_ptr<CallReader> call);
  Step give_up_call();
  void announce(const std::string& name);
  void emit(Part::Kind kind, std::string_view text);
  void take(size_t bytes);  // off pending_, as part of the call being read
  bool knows(std::string_view name) const;

  const ReplyFormat format_;
  const std::shared_ptr<const std::vector<ToolSignature>> tools_;  // the reader looks at them
  std::vector<std::string_view> openers_;
  std::vector<std::string_view> closers_;
  State state_ = State::kStart;
  bool ended_ = false;       // the reply is over: nothing is worth waiting for
  std::string pending_;      // not yet understood
  std::string raw_;          // of the call being read, to be given back if it is none
  std::string space_;        // white space that may stand before a marker
  bool drop_space_ = false;  // the last thing told was a call or reasoning
  std::unique_ptr<CallReader> call_;
  std::optional<PythonicCalls> python_;
  bool announced_ = false;  // the call being read was told
  bool in_array_ = false;
  bool marked_ = false;  // the call has a marker of its own
  int calls_ = 0;
  std::vector<Part> out_;
};

}  // namespace hearth::dialog
