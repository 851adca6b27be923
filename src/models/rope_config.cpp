// The rules for stretching rotary positions, from the file's words to frequencies.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "io/json.h"
#include "models/config.h"

namespace hearth::models {
namespace {

constexpr double kRopeNumberMax = 1e12;  // bases, factors and lengths of real files are far below

// What a rule is computed from.
struct RuleInput {
  const Config& config;
  const RopeRequest& request;
  const io::Json& fields;  // the rule's own; an empty object where the file scales nothing
  std::string where;       // "config.json: rope_scaling"
  nn::RopeBase base;
  int64_t pretrained = 0;  // the length before stretching

  double number(const char* key) const {
    return checked(io::json_require<double>(fields, key, where), key);
  }
  double number(const char* key, double absent) const {
    return checked(io::json_get<double>(fields, key, absent, where), key);
  }
  bool has(const char* key) const {
    const auto it = fields.find(key);
    return it != fields.end() && !it->is_null();
  }

 private:
  double checked(double value, const char* key) const {
    if (!(value > 0) || !(value <= kRopeNumberMax)) {
      throw_error(ErrorCode::kInvalidArgument, where,
                  "field '{}' must be above 0 and at most {}, found {}", key, kRopeNumberMax,
                  value);
    }
    return value;
  }
};

int64_t stretched(const RuleInput& in, int64_t length, double factor) {
  const double longest = static_cast<double>(in.config.limits().length_max);
  const double grown = std::min(static_cast<double>(length) * factor, longest);
  return std::max(length, static_cast<int64_t>(grown));
}

// The asked length, or `natural`; above `possible` is refused.
void settle_length(const Config& config, int32_t asked, int64_t natural, int64_t possible,
                   RopePlan& plan) {
  plan.length_possible = possible;
  plan.length = asked > 0 ? asked : natural;
  if (plan.length > possible) {
    throw_error(ErrorCode::kInvalidArgument, config.where(),
                "--max-model-len {} is above the {} positions of this model", plan.length,
                possible);
  }
}

void settle_length(const RuleInput& in, RopePlan& plan, int64_t natural, int64_t possible) {
  settle_length(in.config, in.request.max_model_len, natural, possible, plan);
}

void plan_default(const RuleInput& in, RopePlan& plan) {
  settle_length(in, plan, in.request.length, in.request.length);
  plan.rope = nn::rope_default(in.base);
}

void plan_linear(const RuleInput& in, RopePlan& plan) {
  const double factor = in.number("factor");
  settle_length(in, plan, in.request.length, stretched(in, in.request.length, factor));
  plan.rope = nn::rope_linear(in.base, static_cast<float>(factor));
}

void plan_dynamic(const RuleInput& in, RopePlan& plan) {
  const double factor = in.number("factor");
  settle_length(in, plan, in.request.length, stretched(in, in.request.length, factor));
  plan.rope = nn::rope_dynamic(in.base, static_cast<float>(factor), in.request.length, plan.length);
}

void plan_llama3(const RuleInput& in, RopePlan& plan) {
  nn::Llama3Scaling scaling;
  scaling.factor = static_cast<float>(in.number("factor"));
  scaling.low_freq_factor = static_cast<float>(in.number("low_freq_factor"));
  scaling.high_freq_factor = static_cast<float>(in.number("high_freq_factor"));
  scaling.pretrained = in.pretrained;
  if (scaling.low_freq_factor == scaling.high_freq_factor) {
    throw_error(ErrorCode::kInvalidArgument, in.where,
                "low_freq_factor and high_freq_factor must differ");
  }
  settle_length(in, plan, in.request.length, in.request.length);
  plan.rope = nn::rope_llama3(in.base, scaling);
}

float yarn_attention(const RuleInput& in, double factor) {
  if (in.has("attention_factor")) return static_cast<float>(in.number("attention_factor"));
  const double mscale = io::json_get<double>(in.fields, "mscale", 0, in.where);
  const double all = io::json_get<double>(in.fields, "mscale_all_dim", 0, in.where);
  if (mscale != 0 && all != 0) {
    return nn::yarn_attention_factor(factor, mscale) / nn::yarn_attention_factor(factor, all);
  }
  return nn::yarn_attention_factor(factor, 1);
}

void plan_yarn(const RuleInput& in, RopePlan& plan) {
  const double grown = static_cast<double>(in.request.length) / static_cast<double>(in.pretrained);
  const double factor = in.number("factor", grown);
  nn::YarnScaling scaling;
  scaling.factor = static_cast<float>(factor);
  scaling.beta_fast = in.number("beta_fast", scaling.beta_fast);
  scaling.beta_slow = in.number("beta_slow", scaling.beta_slow);
  scaling.pretrained = in.pretrained;
  scaling.attention_factor = yarn_attention(in, factor);
  if (!io::json_get<bool>(in.fields, "truncate", true, in.where)) {
    scaling.bounds = nn::YarnScaling::Bounds::kExact;
  }
  const int64_t possible = std::max(in.request.length, stretched(in, in.pretrained, factor));
  settle_length(in, plan, possible, possible);
  plan.rope = nn::rope_yarn(in.base, scaling);
}

std::vector<float> factors_of(const RuleInput& in, const char* key) {
  const auto factors = io::json_require<std::vector<double>>(in.fields, key, in.where);
  if (static_cast<int64_t>(factors.size()) != in.base.dim / 2) {
    throw_error(ErrorCode::kInvalidArgument, in.where, "field '{}' has {} numbers, expected {}",
                key, factors.size(), in.base.dim / 2);
  }
  std::vector<float> result;
  for (double factor : factors) {
    if (!(factor > 0) || !std::isfinite(factor)) {
      throw_error(ErrorCode::kInvalidArgument, in.where, "field '{}' must hold numbers above 0",
                  key);
    }
    result.push_back(static_cast<float>(factor));
  }
  return result;
}

void plan_longrope(const RuleInput& in, RopePlan& plan) {
  const double grown = static_cast<double>(in.request.length) / static_cast<double>(in.pretrained);
  const double factor = in.number("factor", grown);
  const double pretrained = static_cast<double>(in.pretrained);
  const double attention = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(pretrained));
  const std::vector<float> brief = factors_of(in, "short_factor");
  const std::vector<float> lengthy = factors_of(in, "long_factor");
  const int64_t natural = std::min(in.pretrained, in.request.length);
  settle_length(in, plan, natural, std::max(in.request.length, in.pretrained));
  plan.rope = nn::rope_longrope(in.base, plan.length > in.pretrained ? lengthy : brief,
                                static_cast<float>(in.number("attention_factor", attention)));
}

struct Rule {
  const char* name;
  void (*plan)(const RuleInput&, RopePlan&);
};
constexpr Rule kRules[] = {
    {"default", plan_default}, {"linear", plan_linear}, {"dynamic", plan_dynamic},
    {"llama3", plan_llama3},   {"yarn", plan_yarn},     {"longrope", plan_longrope},
    {"su", plan_longrope},  // the name in early Phi-3 files
};

const Rule& rule_named(const std::string& name, const std::string& where) {
  std::string supported;
  for (const Rule& rule : kRules) {
    if (name == rule.name) return rule;
    supported += supported.empty() ? "" : ", ";
    supported += rule.name;
  }
  throw_error(ErrorCode::kUnsupported, where, "unknown rope type '{}'; supported are {}", name,
              supported);
}

struct Fields {
  const io::Json* object = nullptr;
  const char* key = "";
};

Fields fields_of(const Config& config, const RopeRequest& request) {
  if (const io::Json* parameters = config.object("rope_parameters")) {
    if (request.layer_type != nullptr) {
      const auto nested = parameters->find(request.layer_type);
      if (nested != parameters->end() && nested->is_object()) return {&*nested, "rope_parameters"};
      const auto first = parameters->begin();
      if (first != parameters->end() && first->is_object()) return {};  // only the other types
    }
    return {parameters, "rope_parameters"};
  }
  if (request.scaling_key == nullptr) return {};
  return {config.object(request.scaling_key), request.scaling_key};
}

int64_t pretrained_of(const RuleInput& in) {
  const int64_t max = in.config.limits().length_max;
  const char* key = "original_max_position_embeddings";
  if (in.config.has(key)) return in.config.integer(key, 2, max);
  const int64_t fallback =
      in.request.default_pretrained > 0 ? in.request.default_pretrained : in.request.length;
  const double stated = in.number(key, static_cast<double>(fallback));
  if (stated < 2 || stated > static_cast<double>(max)) {
    throw_error(ErrorCode::kInvalidArgument, in.where, "field '{}' is {}; it must be from 2 to {}",
                key, stated, max);
  }
  return static_cast<int64_t>(stated);
}

int64_t turning_elements(const RuleInput& in, const RopeRequest& request) {
  const double stated = in.config.number(request.partial_key, request.default_partial);
  const double share = in.number("partial_rotary_factor", stated);
  const int64_t dim = static_cast<int64_t>(static_cast<double>(request.head_dim) * share);
  if (share > 1 || dim < 2) {
    throw_error(ErrorCode::kInvalidArgument, in.where,
                "a share of {} of heads of {} elements cannot turn", share, request.head_dim);
  }
  return dim - dim % 2;
}

}  // namespace

RopePlan learned_positions(const Config& config, int64_t length, int32_t max_model_len) {
  RopePlan plan;
  plan.rule = "learned";
  settle_length(config, max_model_len, length, length, plan);
  return plan;
}

RopeRequest rope_request(const Sizes& sizes, const LoadOptions& options) {
  return {
      .head_dim = sizes.head_dim, .length = sizes.length, .max_model_len = options.max_model_len};
}

RopePlan read_rope(const Config& config, const RopeRequest& request) {
  static const io::Json kNothing = io::Json::object();
  const Fields found = fields_of(config, request);
  RuleInput in{config,
               request,
               found.object == nullptr ? kNothing : *found.object,
               config.where() + (found.object == nullptr ? "" : std::string(": ") + found.key),
               {}};
  const double stated = config.number(request.theta_key, request.default_theta);
  in.base.theta = static_cast<float>(in.number("rope_theta", stated));
  in.base.dim = turning_elements(in, request);
  in.pretrained = pretrained_of(in);
  const std::string older = io::json_get<std::string>(in.fields, "type", "default", in.where);
  const std::string name = io::json_get<std::string>(in.fields, "rope_type", older, in.where);
  RopePlan plan;
  plan.rule = name;
  plan.theta = in.number("rope_theta", stated);
  rule_named(name, in.where).plan(in, plan);
  return plan;
}

}  // namespace hearth::models
