#include "tokenizer/jinja/template.h"

#include "io/json.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/parser.h"

namespace hearth::tokenizer::jinja {
namespace {

Value from_json(Runtime& runtime, const io::Json& json) {
  switch (json.type()) {
    case io::Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case io::Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case io::Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      return number > INT64_MAX ? Value::real(static_cast<double>(number))
                                : Value::integer(static_cast<int64_t>(number));
    }
    case io::Json::value_t::number_float:
      return Value::real(json.get<double>());
    case io::Json::value_t::string:
      return runtime.string(json.get_ref<const std::string&>());
    case io::Json::value_t::array: {
      const Nesting nesting(runtime);
      List* list = runtime.list();
      for (const io::Json& item : json) runtime.append(*list, from_json(runtime, item));
      return Value(list);
    }
    case io::Json::value_t::object: {
      const Nesting nesting(runtime);
      Dict* dict = runtime.dict();
      for (const auto& [key, value] : json.items()) {
        dict->put(runtime, runtime.string(key), from_json(runtime, value));
      }
      return Value(dict);
    }
    default:
      return Value::none();
  }
}

}  // namespace

Template::Template(std::string_view source, std::string name, const Limits& limits)
    : name_(std::move(name)), limits_(limits) {
  if (source.size() > limits.template_bytes_max) {
    throw_error(ErrorCode::kTooLarge, name_, "a template of {} bytes is over the limit of {}",
                source.size(), limits.template_bytes_max);
  }
  ast_ = parse(source, name_);
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

std::string Template::render(const io::Json& variables, int64_t now_seconds) const {
  Runtime runtime(limits_, name_);
  runtime.now_seconds = now_seconds;
  const Value values = from_json(runtime, variables);
  if (!values.is(Kind::kDict)) runtime.fail("the variables of a template must be an object");
  return jinja::render(runtime, *ast_, values.dict());
}

}  // namespace hearth::tokenizer::jinja
