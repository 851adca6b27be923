#include "train/config.h"

#include "base/error.h"
#include "io/file.h"
#include "train/internal/toml_fields.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace hearth::train {
namespace {

using internal::anchor;
using internal::require;

// Visits every field: visit(section, key, field).
template <internal::Is<TrainConfig> Config, typename Visit>
void visit_fields(Config& c, const Visit& visit) {
  visit("model", "from", c.model.from);
  visit("model", "config", c.model.config);
  visit("model", "family", c.model.family);
  visit("model", "vocab_size", c.model.vocab_size);
  visit("model", "hidden_size", c.model.hidden_size);
  visit("model", "intermediate_size", c.model.intermediate_size);
  visit("model", "num_hidden_layers", c.model.num_hidden_layers);
  visit("model", "num_attention_heads", c.model.num_attention_heads);
  visit("model", "num_key_value_heads", c.model.num_key_value_heads);
  visit("model", "max_position_embeddings", c.model.max_position_embeddings);
  visit("model", "rope_theta", c.model.rope_theta);
  visit("model", "rms_norm_eps", c.model.rms_norm_eps);
  visit("model", "tie_word_embeddings", c.model.tie_word_embeddings);
  visit("model", "initializer_range", c.model.initializer_range);
  visit("model", "recompute", c.model.recompute);
  visit("data", "train", c.data.train);
  visit("data", "validation", c.data.validation);
  visit("data", "tokenizer", c.data.tokenizer);
  visit("data", "context", c.data.context);
  visit("optimizer", "name", c.optimizer.name);
  visit("optimizer", "learning_rate", c.optimizer.learning_rate);
  visit("optimizer", "beta1", c.optimizer.beta1);
  visit("optimizer", "beta2", c.optimizer.beta2);
  visit("optimizer", "epsilon", c.optimizer.epsilon);
  visit("optimizer", "weight_decay", c.optimizer.weight_decay);
  visit("optimizer", "momentum", c.optimizer.momentum);
  visit("optimizer", "clip_norm", c.optimizer.clip_norm);
  visit("optimizer", "spike_deviations", c.optimizer.spike_deviations);
  visit("optimizer", "spike_window", c.optimizer.spike_window);
  visit("schedule", "kind", c.schedule.kind);
  visit("schedule", "steps", c.schedule.steps);
  visit("schedule", "warmup_steps", c.schedule.warmup_steps);
  visit("schedule", "final_fraction", c.schedule.final_fraction);
  visit("schedule", "decay_fraction", c.schedule.decay_fraction);
  visit("batch", "tokens", c.batch.tokens);
  visit("batch", "micro_tokens", c.batch.micro_tokens);
  visit("parallel", "zero", c.parallel.zero);
  visit("parallel", "bucket_mb", c.parallel.bucket_mb);
  visit("parallel", "timeout_s", c.parallel.timeout_s);
  visit("run", "out", c.run.out);
  visit("run", "precision", c.run.precision);
  visit("run", "save_dtype", c.run.save_dtype);
  visit("run", "seed", c.run.seed);
  visit("run", "threads", c.run.threads);
  visit("run", "checkpoint_every", c.run.checkpoint_every);
  visit("run", "checkpoints_kept", c.run.checkpoints_kept);
  visit("run", "validate_every", c.run.validate_every);
  visit("run", "validation_tokens", c.run.validation_tokens);
  visit("run", "sample_every", c.run.sample_every);
  visit("run", "sample_prompts", c.run.sample_prompts);
  visit("run", "sample_tokens", c.run.sample_tokens);
  visit("run", "sample_temperature", c.run.sample_temperature);
}

void check_values(const TrainConfig& c, const std::string& where) {
  require(!c.run.out.empty(), where, "run.out", "set: the folder for checkpoints and the model");
  require(!c.data.train.empty(), where, "data.train", "a list of token shards (see `hearth data`)");
  require(c.model.from.empty() || c.model.config.empty(), where, "model.config",
          "empty beside model.from, whose own config.json says the shape");
  require(c.batch.tokens > 0, where, "batch.tokens", "above 0");
  require(c.batch.micro_tokens > 0, where, "batch.micro_tokens", "above 0");
  require(c.schedule.steps > 0, where, "schedule.steps", "above 0");
  require(c.schedule.warmup_steps >= 0, where, "schedule.warmup_steps", "0 or more");
  parse_schedule(c.schedule.kind, where + ": schedule.kind");
  internal::require_share(c.schedule.final_fraction, where, "schedule.final_fraction");
  internal::require_share(c.schedule.decay_fraction, where, "schedule.decay_fraction");
  parse_optimizer(c.optimizer.name, where + ": optimizer.name");
  internal::require_above_zero(c.optimizer.learning_rate, where, "optimizer.learning_rate");
  internal::require_memory(c.optimizer.beta1, where, "optimizer.beta1");
  internal::require_memory(c.optimizer.beta2, where, "optimizer.beta2");
  internal::require_memory(c.optimizer.momentum, where, "optimizer.momentum");
  internal::require_above_zero(c.optimizer.epsilon, where, "optimizer.epsilon");
  internal::require_zero_or_more(c.optimizer.weight_decay, where, "optimizer.weight_decay");
  internal::require_zero_or_more(c.optimizer.clip_norm, where, "optimizer.clip_norm");
  internal::require_zero_or_more(c.optimizer.spike_deviations, where, "optimizer.spike_deviations");
  require(c.optimizer.spike_window > 1, where, "optimizer.spike_window", "2 or more");
  internal::require_threads(c.run.threads, where);
  internal::require_zero_or_more(c.run.sample_temperature, where, "run.sample_temperature");
  require(c.data.context >= 0, where, "data.context", "0 or more");
  require(c.run.checkpoints_kept > 0, where, "run.checkpoints_kept", "1 or more");
  require(c.run.sample_every == 0 || !c.data.tokenizer.empty(), where, "data.tokenizer",
          "set, for run.sample_every needs it");
  require(c.run.sample_every == 0 || !c.run.sample_prompts.empty(), where, "run.sample_prompts",
          "a list of texts, for run.sample_every needs it");
  require(c.run.sample_tokens > 0, where, "run.sample_tokens", "above 0");
  require(c.parallel.zero == 1 || c.parallel.zero == 2, where, "parallel.zero", "1 or 2");
  internal::require_above_zero(c.parallel.bucket_mb, where, "parallel.bucket_mb");
  require(c.parallel.timeout_s > 0, where, "parallel.timeout_s", "above 0");
  const auto one_of = [&](const char* key, const std::string& value, const char* a, const char* b) {
    if (value == a || value == b) return;
    throw_error(ErrorCode::kInvalidArgument, where, "{} must be {} or {}, came '{}'", key, a, b,
                value);
  };
  one_of("run.precision", c.run.precision, "bf16", "f32");
  one_of("run.save_dtype", c.run.save_dtype, "bf16", "f32");
  one_of("model.recompute", c.model.recompute, "none", "block");
}

}  // namespace

TrainConfig parse_config(std::string_view text, const std::string& where,
                         const std::string& folder) {
  auto config = internal::read_toml<TrainConfig>(
      text, where, [](auto& c, const auto& visit) { visit_fields(c, visit); });
  check_values(config, where);
  anchor(config.model.from, folder);
  anchor(config.model.config, folder);
  anchor(config.data.tokenizer, folder);
  anchor(config.run.out, folder);
  for (std::string& path : config.data.train) anchor(path, folder);
  for (std::string& path : config.data.validation) anchor(path, folder);
  return config;
}

TrainConfig load_config(const std::string& path) {
  return parse_config(io::read_file(path), path, internal::folder_of(path));
}

std::string to_toml(const TrainConfig& config) {
  return internal::write_toml(config,
                              [](const auto& c, const auto& visit) { visit_fields(c, visit); });
}

}  // namespace hearth::train
