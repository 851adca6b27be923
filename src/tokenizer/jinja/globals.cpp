// Global functions and the objects they make.
#include <ctime>

#include "tokenizer/jinja/builtins.h"
#include "tokenizer/jinja/python.h"

namespace hearth::tokenizer::jinja {
namespace {

constexpr int64_t kRangeMax = 100'000;  // the sandbox's MAX_RANGE

class Namespace final : public Object {
 public:
  explicit Namespace(Dict* values) : values_(values) {}
  std::string_view type_name() const override { return "Namespace"; }
  bool callable() const override { return false; }
  bool get(Runtime&, std::string_view name, Value& out) override {
    const Value* found = values_->find(name);
    if (found != nullptr) out = *found;
    return found != nullptr;
  }
  bool set(Runtime& runtime, std::string_view name, const Value& value) override {
    values_->put(runtime, runtime.string(std::string(name)), value);
    return true;
  }

 private:
  Dict* const values_;
};

class Joiner final : public Object {
 public:
  explicit Joiner(const Value& separator) : separator_(separator) {}
  std::string_view type_name() const override { return "Joiner"; }
  Value call(Runtime& runtime, Arguments&) override {
    if (used_) return separator_;
    used_ = true;
    return runtime.string("");
  }

 private:
  const Value separator_;
  bool used_ = false;
};

class Cycler final : public Object {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  bool callable() const override { return false; }
  bool get(Runtime& runtime, std::string_view name, Value& out) override {
    if (name == "current") {
      out = items_[at_];
    } else if (name == "next") {
      out = make_method(runtime, next, Value(this));
    } else if (name == "reset") {
      out = make_method(runtime, reset, Value(this));
    } else {
      return false;
    }
    return true;
  }

 private:
  static Cycler& self(const Arguments& a) { return static_cast<Cycler&>(a.positional[0].object()); }
  static Value next(Runtime&, Arguments& a) {
    Cycler& cycler = self(a);
    const Value out = cycler.items_[cycler.at_];
    cycler.at_ = (cycler.at_ + 1) % cycler.items_.size();
    return out;
  }
  static Value reset(Runtime&, Arguments& a) {
    self(a).at_ = 0;
    return Value::none();
  }

  const std::vector<Value> items_;
  size_t at_ = 0;
};

Value global_range(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "range", {"start", "stop", "step"}, 1);
  for (size_t i = 0; i < 3; ++i) {
    if (!b.has(i)) continue;
    require_defined(runtime, b[i]);
    if (!b[i].is_integral()) {
      runtime.fail("'{}' object cannot be interpreted as an integer", type_name(b[i]));
    }
  }
  List* out = runtime.list(Form::kRange);
  out->start = b.has(1) ? b.integer(0, 0) : 0;
  out->stop = b.has(1) ? b.integer(1, 0) : b.integer(0, 0);
  out->step = b.integer(2, 1);
  if (out->step == 0) runtime.fail("range() arg 3 must not be zero");
  for (int64_t i = out->start; out->step > 0 ? i < out->stop : i > out->stop;) {
    if (static_cast<int64_t>(out->items.size()) >= kRangeMax) {
      runtime.fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).",
                   kRangeMax);
    }
    runtime.step();
    runtime.append(*out, Value::integer(i));
    if (__builtin_add_overflow(i, out->step, &i)) break;
  }
  return Value(out);
}

// dict(pairs or mapping, **named), the shape that dict() and namespace() share.
Dict* make_dict(Runtime& runtime, const Arguments& a) {
  Dict* out = runtime.dict();
  if (a.positional.size() > 1) {
    runtime.fail("dict expected at most 1 argument, got {}", a.positional.size());
  }
  for (const Value& source : a.positional) {
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict().entries) out->put(runtime, key, value);
      continue;
    }
    for (const Value& pair : iterate(runtime, source)) {
      const std::vector<Value> parts = iterate(runtime, pair);
      if (parts.size() != 2) runtime.fail("dict(): expected pairs of a key and a value");
      out->put(runtime, parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : a.named) {
    out->put(runtime, runtime.string(std::string(name)), value);
  }
  return out;
}

Value global_dict(Runtime& runtime, Arguments& a) { return Value(make_dict(runtime, a)); }

Value global_namespace(Runtime& runtime, Arguments& a) {
  return Value(runtime.make<Namespace>(make_dict(runtime, a)));
}

Value global_joiner(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "joiner", {"sep"}, 0);
  return Value(runtime.make<Joiner>(b.get(0, runtime.string(", "))));
}

Value global_cycler(Runtime& runtime, Arguments& a) {
  if (a.positional.empty()) runtime.fail("at least one item has to be provided");
  return Value(runtime.make<Cycler>(a.positional));
}

Value global_raise(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "raise_exception", {"message"}, 1);
  runtime.fail_text(str(runtime, b[0]));
}

Value global_strftime(Runtime& runtime, Arguments& a) {
  const Bound b(runtime, a, "strftime_now", {"format"}, 1);
  const std::string format = b.text(0, "");
  const time_t now = static_cast<time_t>(runtime.now_seconds);
  tm parts{};
  gmtime_r(&now, &parts);
  char buffer[1024];
  const size_t size =
      format.empty() ? 0 : std::strftime(buffer, sizeof(buffer), format.c_str(), &parts);
  return runtime.string(std::string(buffer, size));
}

constexpr NamedFunction kGlobals[] = {
    {"cycler", global_cycler},         {"dict", global_dict},   {"joiner", global_joiner},
    {"namespace", global_namespace},   {"range", global_range}, {"raise_exception", global_raise},
    {"strftime_now", global_strftime},
};

}  // namespace

bool find_global(Runtime& runtime, std::string_view name, Value& out) {
  const Function found = find_function(kGlobals, name);
  if (found) out = make_function(runtime, found);
  return found != nullptr;
}

}  // namespace hearth::tokenizer::jinja
