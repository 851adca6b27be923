#include "tokenizer/jinja/runtime.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/jinja/python.h"

namespace hearth::tokenizer::jinja {

Value Runtime::string(std::string text, Markup markup) {
  allocated(sizeof(String) + text.size());
  auto cell = std::make_unique<String>(std::move(text), markup);
  const String* raw = cell.get();
  cells_.push_back(std::move(cell));
  return Value(raw);
}

Value Runtime::undefined(std::string reason) {
  return Value::undefined(make<String>(std::move(reason), Markup::kPlain));
}

List* Runtime::list(Form form) {
  List* out = make<List>();
  out->form = form;
  return out;
}

Value Runtime::list(std::vector<Value> items, Form form) {
  allocated(items.size() * sizeof(Value));
  List* out = list(form);
  out->items = std::move(items);
  return Value(out);
}

Dict* Runtime::dict() { return make<Dict>(); }

void Runtime::allocated(size_t bytes) {
  bytes_ += bytes;
  if (bytes_ > limits_.memory_bytes_max) {
    fail("the template needs more than {} bytes of memory", limits_.memory_bytes_max);
  }
}

void Runtime::will_allocate(uint64_t bytes) {
  if (bytes > limits_.memory_bytes_max - std::min(bytes_, limits_.memory_bytes_max)) {
    fail("the template needs more than {} bytes of memory", limits_.memory_bytes_max);
  }
}

void Runtime::output_grew_to(size_t bytes) {
  if (bytes > limits_.output_bytes_max) {
    fail("the rendered text is over {} bytes", limits_.output_bytes_max);
  }
}

void Runtime::fail_text(std::string text) const {
  throw Error(ErrorCode::kInvalidArgument, std::move(text),
              fmt::format("{} line {}, column {}", name_, position_.line, position_.column));
}

void Runtime::fail_steps() const {
  fail("the template took more than {} steps; is a loop running away?", limits_.steps_max);
}

Bound::Bound(Runtime& runtime, const Arguments& arguments, std::string_view function,
             std::initializer_list<std::string_view> names, size_t required)
    : runtime_(runtime), function_(function), values_(names.size()), set_(names.size()) {
  if (arguments.positional.size() > names.size()) {
    runtime.fail("{}() takes at most {} arguments, got {}", function, names.size(),
                 arguments.positional.size());
  }
  for (size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = arguments.positional[i];
    set_[i] = true;
  }
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      runtime.fail("{}() got an unexpected keyword argument '{}'", function, name);
    }
    const auto i = static_cast<size_t>(found - names.begin());
    if (set_[i]) runtime.fail("{}() got multiple values for argument '{}'", function, name);
    values_[i] = value;
    set_[i] = true;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!set_[i]) runtime.fail("{}() misses its argument '{}'", function, *(names.begin() + i));
  }
}

int64_t Bound::integer(size_t i, int64_t fallback) const {
  if (!set_[i]) return fallback;
  if (!values_[i].is_integral()) {
    runtime_.fail("{}(): expected an integer, got '{}'", function_, type_name(values_[i]));
  }
  return values_[i].integer();
}

std::string Bound::text(size_t i, std::string_view fallback) const {
  if (!set_[i]) return std::string(fallback);
  if (!values_[i].is(Kind::kString)) {
    runtime_.fail("{}(): expected a string, got '{}'", function_, type_name(values_[i]));
  }
  return values_[i].text();
}

bool Bound::truth(size_t i, bool fallback) const {
  return set_[i] ? jinja::truth(values_[i]) : fallback;
}

}  // namespace hearth::tokenizer::jinja
