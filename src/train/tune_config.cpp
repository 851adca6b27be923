#include "train/tune_config.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "io/file.h"
#include "train/internal/toml_fields.h"
#include "train/schedule.h"

namespace hearth::train {
namespace {

using internal::anchor;
using internal::require;

constexpr double kEpochsMax = 1e6;

template <internal::Is<TuneConfig> Config, typename Visit>
void visit_fields(Config& c, const Visit& visit) {
  visit("model", "from", c.model.from);
  visit("model", "name", c.model.name);
  visit("model", "base", c.model.base);
  visit("model", "recompute", c.model.recompute);
  visit("adapter", "from", c.adapter.from);
  visit("adapter", "r", c.adapter.r);
  visit("adapter", "lora_alpha", c.adapter.lora_alpha);
  visit("adapter", "lora_dropout", c.adapter.lora_dropout);
  visit("adapter", "use_rslora", c.adapter.use_rslora);
  visit("adapter", "use_dora", c.adapter.use_dora);
  visit("adapter", "target_modules", c.adapter.target_modules);
  visit("adapter", "target_regex", c.adapter.target_regex);
  visit("adapter", "exclude_modules", c.adapter.exclude_modules);
  visit("adapter", "rank_pattern", c.adapter.rank_pattern);
  visit("adapter", "alpha_pattern", c.adapter.alpha_pattern);
  visit("adapter", "layers_to_transform", c.adapter.layers_to_transform);
  visit("data", "train", c.data.train);
  visit("data", "validation", c.data.validation);
  visit("data", "validation_share", c.data.validation_share);
  visit("data", "context", c.data.context);
  visit("method", "name", c.method.name);
  visit("method", "beta", c.method.beta);
  visit("optimizer", "learning_rate", c.optimizer.learning_rate);
  visit("optimizer", "beta1", c.optimizer.beta1);
  visit("optimizer", "beta2", c.optimizer.beta2);
  visit("optimizer", "epsilon", c.optimizer.epsilon);
  visit("optimizer", "weight_decay", c.optimizer.weight_decay);
  visit("optimizer", "clip_norm", c.optimizer.clip_norm);
  visit("schedule", "kind", c.schedule.kind);
  visit("schedule", "epochs", c.schedule.epochs);
  visit("schedule", "steps", c.schedule.steps);
  visit("schedule", "warmup_share", c.schedule.warmup_share);
  visit("schedule", "final_fraction", c.schedule.final_fraction);
  visit("batch", "examples", c.batch.examples);
  visit("batch", "micro_tokens", c.batch.micro_tokens);
  visit("run", "out", c.run.out);
  visit("run", "save_dtype", c.run.save_dtype);
  visit("run", "seed", c.run.seed);
  visit("run", "threads", c.run.threads);
  visit("run", "checkpoint_every", c.run.checkpoint_every);
  visit("run", "checkpoints_kept", c.run.checkpoints_kept);
  visit("run", "validate_every", c.run.validate_every);
}

void one_of(const std::string& where, const char* key, const std::string& value,
            std::initializer_list<const char*> known) {
  if (std::find(known.begin(), known.end(), value) != known.end()) return;
  throw_error(ErrorCode::kInvalidArgument, where, "{} must be one of {}, came '{}'", key,
              fmt::join(known, ", "), value);
}

// "pattern=value"; a pattern may hold = itself.
template <typename T>
adapters::PatternList<T> patterns(const std::vector<std::string>& list, const char* key,
                                  const std::string& where) {
  adapters::PatternList<T> out;
  for (const std::string& entry : list) {
    const size_t sign = entry.rfind('=');
    T value{};
    const char* begin = entry.data() + (sign == std::string::npos ? 0 : sign + 1);
    const char* end = entry.data() + entry.size();
    const auto [rest, error] = std::from_chars(begin, end, value);
    if (sign == std::string::npos || sign == 0 || error != std::errc() || rest != end) {
      throw_error(ErrorCode::kInvalidArgument, where, "{}: expected \"pattern=number\", came '{}'",
                  key, entry);
    }
    out.emplace_back(entry.substr(0, sign), value);
  }
  return out;
}

}  // namespace

void check_tune_config(const TuneConfig& c, const std::string& where) {
  require(!c.model.from.empty(), where, "model.from", "set: the folder of the base model");
  require(!c.run.out.empty(), where, "run.out", "set: the folder for the adapter");
  require(!c.data.train.empty(), where, "data.train", "a list of JSONL files");
  one_of(where, "model.base", c.model.base, {"bf16", "f32", "q8", "q4"});
  one_of(where, "model.recompute", c.model.recompute, {"none", "block"});
  one_of(where, "method.name", c.method.name, {"sft", "dpo"});
  one_of(where, "run.save_dtype", c.run.save_dtype, {"f32", "bf16"});
  require(c.adapter.r > 0, where, "adapter.r", "above 0");
  require(c.adapter.lora_dropout >= 0 && c.adapter.lora_dropout < 1, where, "adapter.lora_dropout",
          "in [0, 1)");
  require(c.data.validation_share >= 0 && c.data.validation_share < 1, where,
          "data.validation_share", "in [0, 1)");
  require(c.data.context >= 0, where, "data.context", "0 or more");
  internal::require_above_zero(c.method.beta, where, "method.beta");
  internal::require_above_zero(c.optimizer.learning_rate, where, "optimizer.learning_rate");
  internal::require_memory(c.optimizer.beta1, where, "optimizer.beta1");
  internal::require_memory(c.optimizer.beta2, where, "optimizer.beta2");
  internal::require_above_zero(c.optimizer.epsilon, where, "optimizer.epsilon");
  internal::require_zero_or_more(c.optimizer.weight_decay, where, "optimizer.weight_decay");
  internal::require_zero_or_more(c.optimizer.clip_norm, where, "optimizer.clip_norm");
  parse_schedule(c.schedule.kind, where + ": schedule.kind");
  require(c.schedule.steps >= 0, where, "schedule.steps", "above 0, or 0 for schedule.epochs");
  require(c.schedule.steps > 0 || (c.schedule.epochs > 0 && c.schedule.epochs <= kEpochsMax), where,
          "schedule.epochs", "above 0, and at most a million");
  internal::require_share(c.schedule.warmup_share, where, "schedule.warmup_share");
  internal::require_share(c.schedule.final_fraction, where, "schedule.final_fraction");
  internal::require_threads(c.run.threads, where);
  require(c.batch.examples > 0, where, "batch.examples", "above 0");
  require(c.batch.micro_tokens > 0, where, "batch.micro_tokens", "above 0");
  require(c.run.checkpoints_kept > 0, where, "run.checkpoints_kept", "1 or more");
  adapter_config(c, where);
}

adapters::AdapterConfig adapter_config(const TuneConfig& config, const std::string& where) {
  const TuneAdapterConfig& a = config.adapter;
  adapters::AdapterConfig out;
  out.base_model = config.model.name.empty() ? config.model.from : config.model.name;
  out.r = a.r;
  out.lora_alpha = a.lora_alpha;
  out.lora_dropout = a.lora_dropout;
  out.use_rslora = a.use_rslora;
  out.use_dora = a.use_dora;
  using Kind = adapters::TargetModules::Kind;
  if (!a.target_regex.empty()) {
    out.target_modules = {Kind::kRegex, {}, a.target_regex};
  } else if (a.target_modules == std::vector<std::string>{"all-linear"}) {
    out.target_modules.kind = Kind::kAllLinear;
  } else {
    out.target_modules.names = a.target_modules;
  }
  out.exclude_modules.names = a.exclude_modules;
  out.rank_pattern = patterns<int64_t>(a.rank_pattern, "adapter.rank_pattern", where);
  out.alpha_pattern = patterns<double>(a.alpha_pattern, "adapter.alpha_pattern", where);
  out.layers_to_transform = a.layers_to_transform;
  return out;
}

TuneConfig parse_tune_config(std::string_view text, const std::string& where,
                             const std::string& folder) {
  auto config = internal::read_toml<TuneConfig>(
      text, where, [](auto& c, const auto& visit) { visit_fields(c, visit); });
  check_tune_config(config, where);
  anchor(config.model.from, folder);
  anchor(config.adapter.from, folder);
  anchor(config.run.out, folder);
  for (std::string& path : config.data.train) anchor(path, folder);
  for (std::string& path : config.data.validation) anchor(path, folder);
  return config;
}

TuneConfig load_tune_config(const std::string& path) {
  return parse_tune_config(io::read_file(path), path, internal::folder_of(path));
}

std::string to_toml(const TuneConfig& config) {
  return internal::write_toml(config,
                              [](const auto& c, const auto& visit) { visit_fields(c, visit); });
}

}  // namespace hearth::train
