#include "serve/generation_fields.h"

#include <algorithm>

#include "base/error.h"
#include "io/json.h"

namespace hearth::serve {

using io::Json;

namespace {

constexpr size_t kStopsMax = 64;
constexpr size_t kStopBytesMax = 4096;
constexpr size_t kLogitBiasMax = 4096;
constexpr size_t kBreakersMax = 32;
constexpr size_t kChoicesMax = 4096;
constexpr int64_t kTopLogprobsMax = 20;
constexpr int64_t kPriorityMax = 1'000'000;

void read_sampling(const Fields& fields, const GenerationDefaults& defaults,
                   engine::SamplingParams& out) {
  const auto set = [](float& to, std::optional<double> asked, std::optional<double> silent) {
    if (const auto value = asked ? asked : silent) to = static_cast<float>(*value);
  };
  set(out.temperature, fields.number("temperature", 0, 2), defaults.temperature);
  set(out.top_p, fields.number("top_p", 0, 1), defaults.top_p);
  set(out.min_p, fields.number("min_p", 0, 1), defaults.min_p);
  set(out.typical_p, fields.number("typical_p", 0, 1), defaults.typical_p);
  set(out.repetition_penalty, fields.number("repetition_penalty", 0.01, 100),
      defaults.repetition_penalty);
  set(out.presence_penalty, fields.number("presence_penalty", -2, 2), {});
  set(out.frequency_penalty, fields.number("frequency_penalty", -2, 2), {});
  const auto top_k = fields.integer("top_k", -1, INT32_MAX);
  out.top_k =
      static_cast<int32_t>(std::max<int64_t>(0, top_k.value_or(defaults.top_k.value_or(0))));
}

void read_logit_bias(const Fields& fields, int32_t vocab_size, engine::SamplingParams& out) {
  const Json* bias = fields.object("logit_bias");
  if (!bias) return;
  if (bias->size() > kLogitBiasMax) {
    throw_error(ErrorCode::kInvalidArgument, "logit_bias",
                "'logit_bias': at most {} entries, got {}", kLogitBiasMax, bias->size());
  }
  const Fields entries(*bias, "logit_bias");
  for (const auto& [key, value] : bias->items()) {
    const bool digits =
        !key.empty() && key.size() < 10 && key.find_first_not_of("0123456789") == std::string::npos;
    const int64_t token = digits ? std::stoll(key) : -1;
    if (token < 0 || token >= vocab_size) {
      throw_error(ErrorCode::kInvalidArgument, "logit_bias",
                  "'logit_bias': keys are token ids below {}, got '{}'", vocab_size, key);
    }
    const auto amount = entries.number(key.c_str(), -100, 100);
    out.logit_bias.emplace_back(static_cast<TokenId>(token),
                                static_cast<float>(amount.value_or(0)));
  }
}

// Every token whose text holds one of the strings ends a repetition.
std::vector<TokenId> tokens_with(const std::vector<std::string>& strings, const TextCodec& codec) {
  std::vector<TokenId> out;
  for (TokenId token = 0; token < codec.vocab_size(); ++token) {
    const std::string bytes = codec.token_bytes(token);
    const bool breaks = std::any_of(strings.begin(), strings.end(), [&](const std::string& text) {
      return !text.empty() && bytes.find(text) != std::string::npos;
    });
    if (breaks) out.push_back(token);
  }
  return out;
}

void read_dry(const Fields& fields, const TextCodec& codec, engine::SamplingParams& out) {
  out.dry_multiplier = static_cast<float>(fields.number("dry_multiplier", 0, 100).value_or(0));
  out.dry_base = static_cast<float>(fields.number("dry_base", 1, 8).value_or(out.dry_base));
  out.dry_allowed_length = static_cast<int32_t>(
      fields.integer("dry_allowed_length", 0, INT32_MAX).value_or(out.dry_allowed_length));
  out.dry_range = static_cast<int32_t>(
      fields.integer("dry_penalty_last_n", -1, INT32_MAX).value_or(out.dry_range));
  std::vector<std::string> breakers = {"\n", ":", "\"", "*"};
  if (fields.has("dry_sequence_breakers")) {
    breakers = fields.strings("dry_sequence_breakers", kBreakersMax);
  }
  if (out.dry_multiplier > 0) out.dry_breakers = tokens_with(breakers, codec);
}

std::string schema_text(const Fields& fields, const char* key) {
  const Json& value = *fields.find(key);
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() || value.is_boolean()) return io::dump_json(value);
  throw_error(ErrorCode::kInvalidArgument, fields.path_of(key),
              "'{}': expected a JSON schema, got {}", fields.path_of(key), brief(value));
}

std::optional<Constraint> read_response_format(const Fields& fields) {
  const Json* format = fields.object("response_format");
  if (!format) return std::nullopt;
  const Fields inner(*format, "response_format");
  inner.require_string("type");
  const std::string type =
      *inner.choice("type", {"text", "json_object", "json_schema", "regex", "grammar"});
  if (type == "text") return std::nullopt;
  if (type == "json_object") {
    return Constraint{{ConstraintSpec::Kind::kJsonObject, {}, {}}, "response_format"};
  }
  if (type == "regex") {
    return Constraint{{ConstraintSpec::Kind::kRegex, inner.require_string("pattern"), {}},
                      "response_format.pattern"};
  }
  if (type == "grammar") {
    return Constraint{{ConstraintSpec::Kind::kGrammar, inner.require_string("grammar"), {}},
                      "response_format.grammar"};
  }
  const Json* wrapper = inner.object("json_schema");
  // The Responses API has the schema one level up.
  const Fields holder(wrapper ? *wrapper : *format,
                      wrapper ? "response_format.json_schema" : "response_format");
  if (!holder.has("schema")) {
    throw_error(ErrorCode::kInvalidArgument, holder.path_of("schema"),
                "'{}' is missing: expected a JSON schema", holder.path_of("schema"));
  }
  return Constraint{{ConstraintSpec::Kind::kJsonSchema, schema_text(holder, "schema"), {}},
                    holder.path_of("schema")};
}

// vLLM's names: guided_json and its like at the top, or json and its like in structured_outputs.
void read_guided(const Fields& fields, const std::string& prefix, std::vector<Constraint>& found) {
  const auto key = [&](const char* name) { return prefix + name; };
  const auto add = [&](const std::string& name, ConstraintSpec spec) {
    found.push_back({std::move(spec), fields.path_of(name.c_str())});
  };
  if (const std::string name = key("json"); fields.has(name.c_str())) {
    add(name, {ConstraintSpec::Kind::kJsonSchema, schema_text(fields, name.c_str()), {}});
  }
  if (const std::string name = key("regex"); fields.has(name.c_str())) {
    add(name, {ConstraintSpec::Kind::kRegex, *fields.string(name.c_str()), {}});
  }
  if (const std::string name = key("grammar"); fields.has(name.c_str())) {
    add(name, {ConstraintSpec::Kind::kGrammar, *fields.string(name.c_str()), {}});
  }
  if (const std::string name = key("choice"); fields.has(name.c_str())) {
    add(name, {ConstraintSpec::Kind::kChoice, {}, fields.strings(name.c_str(), kChoicesMax)});
  }
  if (const std::string name = key("json_object"); fields.boolean(name.c_str()).value_or(false)) {
    add(name, {ConstraintSpec::Kind::kJsonObject, {}, {}});
  }
}

std::optional<Constraint> read_constraint(const Fields& fields) {
  std::vector<Constraint> found;
  if (auto format = read_response_format(fields)) found.push_back(std::move(*format));
  read_guided(fields, "guided_", found);
  // llama.cpp's name.
  if (const auto grammar = fields.string("grammar"); grammar && !grammar->empty()) {
    found.push_back({{ConstraintSpec::Kind::kGrammar, *grammar, {}}, "grammar"});
  }
  if (const Json* outputs = fields.object("structured_outputs")) {
    read_guided(Fields(*outputs, "structured_outputs"), "", found);
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    throw_error(ErrorCode::kInvalidArgument, found[1].field,
                "'{}' and '{}' both constrain the answer; send one of them", found[0].field,
                found[1].field);
  }
  return std::move(found[0]);
}

// What the client wants of its contracts (OpenAI's names); place() finds out which there are.
engine::ServiceClass read_tier(const Fields& fields) {
  const std::string tier = fields.string("service_tier").value_or("auto");
  if (tier == "default" || tier == "standard_only") return engine::ServiceClass::kStandard;
  if (tier == "flex") return engine::ServiceClass::kBatch;
  return engine::ServiceClass::kProvisioned;
}

void read_stops(const Fields& fields, GenerationFields& out) {
  out.stops = fields.strings("stop", kStopsMax);
  for (const std::string& stop : out.stops) {
    if (stop.size() <= kStopBytesMax) continue;
    throw_error(ErrorCode::kInvalidArgument, "stop", "'stop': at most {} bytes each, got {}",
                kStopBytesMax, stop.size());
  }
}

}  // namespace

GenerationFields read_generation_fields(const Fields& fields, const ModelHandle& model, Ids& ids,
                                        const GenerationFieldRules& rules) {
  GenerationFields out;
  engine::Request& base = out.base;
  read_sampling(fields, model.defaults, base.sampling);
  read_logit_bias(fields, model.codec->vocab_size(), base.sampling);
  read_dry(fields, *model.codec, base.sampling);
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  base.sampling.seed = seed ? static_cast<uint64_t>(*seed) : ids.number();

  out.cut_to_context = true;
  base.max_tokens = rules.silent_max;
  if (model.defaults.max_new_tokens && rules.silent_max == engine::kAsManyAsFit) {
    base.max_tokens = static_cast<int32_t>(*model.defaults.max_new_tokens);
  }
  for (const char* name : rules.max_tokens) {
    const auto limit = fields.integer(name, 0, INT32_MAX);
    if (!limit) continue;
    base.max_tokens = static_cast<int32_t>(*limit);
    out.cut_to_context = rules.beyond_context == BeyondContext::kCut;
    break;
  }
  base.min_tokens = static_cast<int32_t>(fields.integer("min_tokens", 0, INT32_MAX).value_or(0));
  base.choices = static_cast<int32_t>(fields.integer("n", 1, model.engine.max_choices).value_or(1));
  base.priority =
      static_cast<int32_t>(fields.integer("priority", -kPriorityMax, kPriorityMax).value_or(0));
  base.cache_salt = rules.cache_salt;
  base.service_class = read_tier(fields);
  base.stop_tokens = fields.integers("stop_token_ids", kStopsMax);
  if (!fields.boolean("ignore_eos").value_or(false)) {
    base.stop_tokens.insert(base.stop_tokens.end(), model.end_tokens.begin(),
                            model.end_tokens.end());
  }
  if (const auto count = fields.integer("prompt_logprobs", 0, kTopLogprobsMax)) {
    base.sampling.prompt_logprobs = static_cast<int32_t>(*count);
  }
  out.skip_special_tokens = fields.boolean("skip_special_tokens").value_or(true);
  out.token_ids = fields.boolean("return_token_ids").value_or(false);
  read_stops(fields, out);
  out.constraint = read_constraint(fields);
  return out;
}

engine::Request make_prompt(const GenerationFields& fields, const ModelHandle& model,
                            std::vector<TokenId> tokens) {
  engine::Request request = fields.base;
  request.prompt = std::move(tokens);
  const int64_t room =
      int64_t{model.engine.max_model_len} - static_cast<int64_t>(request.prompt.size());
  // What does not fit is refused by the engine, with the numbers.
  const bool cut = fields.cut_to_context && room > 0 && request.max_tokens > room;
  if (cut) request.max_tokens = static_cast<int32_t>(room);
  request.min_tokens = request.max_tokens < 0 ? request.min_tokens
                                              : std::min(request.min_tokens, request.max_tokens);
  if (!fields.constraint) return request;
  if (!model.constraints) {
    throw_error(ErrorCode::kUnsupported, fields.constraint->field,
                "this model was loaded without structured output");
  }
  for (int32_t i = 0; i < request.choices; ++i) {
    request.constraints.push_back(
        model.constraints->compile(fields.constraint->spec, fields.constraint->field));
  }
  return request;
}

}  // namespace hearth::serve
