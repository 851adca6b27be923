// Reads one tool call while it is being written: the name as soon as it is there, then the
// arguments' JSON text as it comes.
#pragma once

#include <string>
#include <string_view>

namespace hearth::dialog {

class CallReader {
 public:
  enum class Status { kReading, kDone, kBroken };

  virtual ~CallReader() = default;
  // Takes bytes off the front of `text`, up to the end of the call or the first byte that can not
  // be part of one; once done or broken it takes none. It also stops where the name becomes known,
  // so that what the caller makes of the name does not depend on how the text was cut.
  virtual Status feed(std::string_view& text) = 0;

  virtual bool has_name() const = 0;
  virtual const std::string& name() const = 0;
  // Argument text that came since the last call; JSON. Empty while the name is not known.
  virtual std::string take_arguments() = 0;
};

}  // namespace hearth::dialog
