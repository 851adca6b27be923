// A Jinja2 template as transformers' apply_chat_template runs one: trim_blocks, lstrip_blocks,
// immutable sandbox, break and continue, {% generation %}, and tojson, raise_exception and
// strftime_now as transformers defines them.
//
// Parsed once, rendered many times; rendering is const and safe from several threads.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "io/json_fwd.h"
#include "tokenizer/jinja/runtime.h"

namespace hearth::tokenizer::jinja {

struct Ast;

class Template {
 public:
  // Throws Error{kInvalidArgument} with the line and column of the first mistake.
  explicit Template(std::string_view source, std::string name = "template",
                    const Limits& limits = {});
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // `variables` is an object; its key order is kept. `now_seconds` is what strftime_now reads, in
  // UTC. Throws Error{kInvalidArgument}: what the template raised, or where it went wrong.
  std::string render(const io::Json& variables, int64_t now_seconds = 0) const;

 private:
  std::string name_;
  Limits limits_;
  std::unique_ptr<const Ast> ast_;
};

}  // namespace hearth::tokenizer::jinja
