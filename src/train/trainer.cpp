#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "base/error.h"
#include "base/log.h"
#include "io/json.h"
#include "ops/optimizer.h"
#include "train/hf_files.h"
#include "train/schedule.h"

namespace hearth::train {
namespace {

DType parse_precision(const std::string& name) {
  return name == "bf16" ? DType::kBF16 : DType::kF32;
}

int64_t tokenizer_vocab(const DataConfig& data) {
  const std::string path = data.tokenizer + "/tokenizer.json";
  const io::Json tokenizer = io::load_json(path);
  const io::Json model = io::json_require<io::Json>(tokenizer, "model", path);
  auto size = static_cast<int64_t>(io::json_require<io::Json>(model, "vocab", path).size());
  for (const io::Json& token : tokenizer.value("added_tokens", io::Json::array())) {
    size = std::max(size, io::json_require<int64_t>(token, "id", path) + 1);
  }
  return size;
}

// The config.json of a model from random weights.
io::Json shape_of(const TrainConfig& config) {
  const ModelConfig& m = config.model;
  int64_t vocab = m.vocab_size;
  if (vocab == 0) {
    if (config.data.tokenizer.empty()) {
      throw_error(ErrorCode::kInvalidArgument, "model.vocab_size",
                  "set it, or data.tokenizer to take it from");
    }
    vocab = tokenizer_vocab(config.data);
  }
  return {
      {"model_type", m.family},
      {"vocab_size", vocab},
      {"hidden_size", m.hidden_size},
      {"intermediate_size", m.intermediate_size},
      {"num_hidden_layers", m.num_hidden_layers},
      {"num_attention_heads", m.num_attention_heads},
      {"num_key_value_heads", m.num_key_value_heads},
      {"max_position_embeddings", m.max_position_embeddings},
      {"rope_theta", m.rope_theta},
      {"rms_norm_eps", m.rms_norm_eps},
      {"tie_word_embeddings", m.tie_word_embeddings},
      {"initializer_range", m.initializer_range},
  };
}

std::unique_ptr<Model> build_model(const TrainConfig& config, ops::TrainContext& ctx) {
  const DType compute = parse_precision(config.run.precision);
  const Recompute recompute =
      config.model.recompute == "block" ? Recompute::kBlock : Recompute::kNone;
  const std::string& from = config.model.from;
  if (from.empty()) {
    auto model = make_model(shape_of(config), {compute, recompute}, "[model]");
    Random random(static_cast<uint64_t>(config.run.seed));
    model->parameters().initialise(random);
    model->parameters().refresh(ctx);
    return model;
  }
  const std::string path = from + "/config.json";
  auto model = make_model(io::load_json(path), {compute, recompute}, path);
  load_weights(from, *model);
  model->parameters().refresh(ctx);
  return model;
}

std::unique_ptr<DataStream> open_data(const std::vector<std::string>& paths,
                                      const TrainConfig& config, const Model& model) {
  int64_t context = config.data.context;
  if (context == 0) context = model.context_max();
  if (context > model.context_max()) {
    throw_error(ErrorCode::kInvalidArgument, "data.context", "{} is longer than the model's {}",
                context, model.context_max());
  }
  auto data = std::make_unique<DataStream>(paths, context, static_cast<uint64_t>(config.run.seed));
  const int64_t vocab = model.config()["vocab_size"].get<int64_t>();
  if (data->token_max() >= vocab) {
    throw_error(ErrorCode::kInvalidArgument, paths.front(),
                "token {} is outside the model's vocabulary of {}; use its own tokenizer",
                data->token_max(), vocab);
  }
  return data;
}

SpikeGuard make_guard(const OptimizerConfig& config) {
  return {static_cast<int>(config.spike_window), config.spike_deviations};
}

Optimizer make_optimizer(const OptimizerConfig& config, const Parameters& parameters) {
  return {{.kind = parse_optimizer(config.name, "optimizer.name"),
           .beta1 = config.beta1,
           .beta2 = config.beta2,
           .epsilon = config.epsilon,
           .weight_decay = config.weight_decay,
           .momentum = config.momentum},
          parameters};
}

Schedule make_schedule(const ScheduleConfig& config) {
  return {parse_schedule(config.kind, "schedule.kind"), config.steps, config.warmup_steps,
          config.final_fraction, config.decay_fraction};
}

}  // namespace

Trainer::Trainer(const TrainConfig& config, ops::TrainContext ctx, const Clock& clock)
    : config_(config),
      ctx_(ctx),
      clock_(clock),
      model_(build_model(config, ctx_)),
      data_(open_data(config.data.train, config, *model_)),
      optimizer_(
          std::make_unique<Optimizer>(make_optimizer(config.optimizer, model_->parameters()))),
      writer_(config.run.out + "/checkpoints", config.run.checkpoints_kept),
      loss_guard_(make_guard(config.optimizer)),
      norm_guard_(make_guard(config.optimizer)) {
  make_schedule(config.schedule);  // its names are checked before hours of work
  if (!config.data.validation.empty()) {
    validation_ = open_data(config.data.validation, config, *model_);
  }
  if (!load_checkpoint(config.run.out + "/checkpoints", state_, model_->parameters(),
                       *optimizer_)) {
    state_.data_fingerprint = data_->fingerprint();
    state_.layout = layout_of(model_->parameters());
    return;
  }
  if (state_.data_fingerprint != data_->fingerprint()) {
    throw_error(ErrorCode::kInvalidArgument, config.run.out,
                "its checkpoint was made with other data, context or seed; restore them or choose "
                "another run.out");
  }
  model_->parameters().refresh(ctx_);
  data_->seek(state_.position);
  loss_guard_.restore(state_.loss_history);
  norm_guard_.restore(state_.norm_history);
}

StepReport Trainer::train_step() {
  const Nanos begin = clock_.now();
  Parameters& parameters = model_->parameters();
  const std::vector<DataStream::Piece> pieces = data_->take(config_.batch.tokens);
  const std::vector<Batch> batches = make_batches(pieces, config_.batch.micro_tokens);
  int64_t targets = 0;
  int64_t tokens = 0;
  double attended = 0;  // Σ over tokens of the length of their document
  for (const Batch& batch : batches) {
    targets += batch.target_count();
    tokens += batch.tokens();
    for (const ops::Segment& segment : batch.segments) {
      attended += static_cast<double>(segment.count) * static_cast<double>(segment.count);
    }
  }
  // One divisor for the whole update, so that its split into batches cannot be felt.
  const double per_target = 1.0 / static_cast<double>(std::max<int64_t>(1, targets));
  parameters.clear_gradients();
  double sum = 0;
  for (const Batch& batch : batches) {
    sum += model_->forward_backward(ctx_, batch, static_cast<float>(per_target));
  }
  StepReport report;
  report.loss = sum * per_target;
  report.grad_norm = std::sqrt(ops::sum_squares(ctx_, parameters.flat_gradient()));
  report.learning_rate =
      config_.optimizer.learning_rate * make_schedule(config_.schedule).factor(state_.step);
  const bool loss_spike = loss_guard_.is_spike(report.loss);
  report.left_out = norm_guard_.is_spike(report.grad_norm) || loss_spike;
  if (!report.left_out) {
    const double clip = config_.optimizer.clip_norm;
    const double scale = clip > 0 && report.grad_norm > clip ? clip / report.grad_norm : 1.0;
    optimizer_->step(ctx_, parameters, report.learning_rate, scale);
  }
  ++state_.step;
  state_.tokens += targets;
  state_.position = data_->position();
  state_.optimizer_steps = optimizer_->steps();
  state_.loss_history = loss_guard_.history();
  state_.norm_history = norm_guard_.history();
  report.step = state_.step;
  report.tokens = state_.tokens;
  report.epoch = state_.position.epoch;
  const double seconds =
      std::max(1e-9, static_cast<double>(clock_.now() - begin) / static_cast<double>(kSecond));
  report.tokens_per_second = static_cast<double>(tokens) / seconds;
  report.flops_per_second =
      report.tokens_per_second * model_->flops_per_token(attended / static_cast<double>(tokens));
  return report;
}

ValidationReport evaluate(ops::TrainContext& ctx, Model& model, DataStream& data,
                          int64_t micro_tokens, int64_t tokens_max) {
  data.seek({});
  double sum = 0;
  int64_t targets = 0;
  int64_t seen = 0;  // tokens, the first of each document included
  while (data.position().next < data.pieces() && (tokens_max == 0 || targets < tokens_max)) {
    const std::vector<DataStream::Piece> pieces = data.take(micro_tokens);
    for (const Batch& batch : make_batches(pieces, micro_tokens)) {
      std::vector<float> each(batch.ids.size());
      model.losses(ctx, batch, each);
      for (float loss : each) sum += loss;
      targets += batch.target_count();
    }
    for (const auto& piece : pieces) seen += static_cast<int64_t>(piece.tokens.size());
  }
  ValidationReport report;
  report.tokens = targets;
  report.loss = sum / static_cast<double>(std::max<int64_t>(1, targets));
  // Of a part of the data the bytes are taken in proportion to its tokens.
  const double bytes = static_cast<double>(data.text_bytes()) * static_cast<double>(seen) /
                       static_cast<double>(std::max<int64_t>(1, data.tokens()));
  report.bits_per_byte = bytes > 0 ? sum / std::numbers::ln2 / bytes : 0.0;
  return report;
}

ValidationReport Trainer::validate() {
  ValidationReport report = evaluate(ctx_, *model_, *validation_, config_.batch.micro_tokens,
                                     config_.run.validation_tokens);
  report.step = state_.step;
  return report;
}

void Trainer::checkpoint() { writer_.write(state_, model_->parameters(), *optimizer_); }

bool Trainer::run(Observer& observer, const std::atomic<bool>& stop) {
  const RunConfig& run = config_.run;
  const int64_t steps = config_.schedule.steps;
  std::filesystem::create_directories(run.out);
  const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
  observer.on_start(*model_, *data_, state_.step);
  while (state_.step < steps && !stop.load()) {
    observer.on_step(train_step());
    const bool last = state_.step == steps;
    if (validation_ && (last || due(run.validate_every))) observer.on_validation(validate());
    if (!last && due(run.checkpoint_every)) checkpoint();
  }
  checkpoint();
  writer_.finish();
  if (state_.step < steps) return false;
  save_model(run.out + "/model", *model_,
             {.dtype = parse_precision(run.save_dtype), .tokenizer = config_.data.tokenizer});
  return true;
}

}  // namespace hearth::train
