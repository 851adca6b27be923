// What one render may use and where it stands: owns the values it makes, counts its work against
// limits, and words its errors. One thread, one render.
#pragma once

#include <cstdint>
#include <deque>
#include <fmt/format.h>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace hearth::tokenizer::jinja {

// A template from a stranger can neither hang nor exhaust the process. Defaults are hundreds of
// times what the heaviest published chat template needs for a full 128k context.
struct Limits {
  size_t template_bytes_max = size_t{1} << 20;  // of the source
  int64_t steps_max = 20'000'000;               // nodes evaluated and items visited
  size_t output_bytes_max = size_t{64} << 20;   // of the rendered text
  size_t memory_bytes_max = size_t{256} << 20;  // of all values made during the render
  int depth_max = 300;                          // nesting of expressions, macros and values
};

struct Position {
  uint32_t line = 1;
  uint32_t column = 1;
};

class Runtime {
 public:
  Runtime(const Limits& limits, std::string name) : limits_(limits), name_(std::move(name)) {}
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Value string(std::string text, Markup markup = Markup::kPlain);
  Value undefined(std::string reason);
  List* list(Form form = Form::kList);
  Value list(std::vector<Value> items, Form form = Form::kList);
  Dict* dict();
  template <typename T, typename... Args>
  T* make(Args&&... args) {
    allocated(sizeof(T));
    auto cell = std::make_unique<T>(std::forward<Args>(args)...);
    T* raw = cell.get();
    cells_.push_back(std::move(cell));
    return raw;
  }
  // Adds to a list, charged.
  void append(List& list, const Value& value) {
    allocated(sizeof(Value));
    list.items.push_back(value);
  }

  void step(int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps_max) fail_steps();
  }
  // Work on text: reading it costs a step for every 32 bytes.
  void scan(size_t bytes) { step(static_cast<int64_t>(bytes / 32)); }
  void allocated(size_t bytes);
  // Before text of a size that the template chose is built.
  void will_allocate(uint64_t bytes);
  void output_grew_to(size_t bytes);

  void at(Position position) { position_ = position; }
  [[noreturn]] void fail_text(std::string text) const;
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_text(fmt::format(format, std::forward<Args>(args)...));
  }

  // strftime_now: set by the caller of the render.
  int64_t now_seconds = 0;

 private:
  friend class Nesting;
  [[noreturn]] void fail_steps() const;

  const Limits limits_;
  const std::string name_;
  std::deque<std::unique_ptr<Cell>> cells_;
  int64_t steps_ = 0;
  size_t bytes_ = 0;
  int depth_ = 0;
  Position position_;
};

// Counts one level of recursion while it lives.
class Nesting {
 public:
  explicit Nesting(Runtime& runtime) : runtime_(runtime) {
    if (++runtime_.depth_ > runtime_.limits_.depth_max) {
      --runtime_.depth_;
      runtime_.fail("nested deeper than {} levels", runtime_.limits_.depth_max);
    }
  }
  ~Nesting() { --runtime_.depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Runtime& runtime_;
};

// Arguments bound to parameter names as Python binds them.
class Bound {
 public:
  Bound(Runtime& runtime, const Arguments& arguments, std::string_view function,
        std::initializer_list<std::string_view> names, size_t required);
  bool has(size_t i) const { return set_[i]; }
  const Value& operator[](size_t i) const { return values_[i]; }
  Value get(size_t i, const Value& fallback) const { return set_[i] ? values_[i] : fallback; }
  int64_t integer(size_t i, int64_t fallback) const;
  std::string text(size_t i, std::string_view fallback) const;
  bool truth(size_t i, bool fallback) const;

 private:
  Runtime& runtime_;
  std::string_view function_;
  std::vector<Value> values_;
  std::vector<bool> set_;
};

}  // namespace hearth::tokenizer::jinja
