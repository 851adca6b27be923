#include "train/tuner.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "io/json.h"
#include "ops/optimizer.h"
#include "train/hf_files.h"

namespace hearth::train {
namespace {

constexpr const char* kWhere = "[adapter]";

models::Quantize quantize_of(const std::string& base) {
  if (base == "q8") return models::Quantize::kQ8;
  return base == "q4" ? models::Quantize::kQ4 : models::Quantize::kNone;
}

DType compute_of(const std::string& base) { return base == "f32" ? DType::kF32 : DType::kBF16; }

double base_bytes(const std::string& base) {
  if (base == "f32") return 4;
  if (base == "q8") return 1.0625;
  return base == "q4" ? 0.5625 : 2;
}

Schedule make_schedule(const TuneConfig& config, int64_t examples) {
  const TuneScheduleConfig& s = config.schedule;
  const int64_t each = (examples + config.batch.examples - 1) / config.batch.examples;
  const auto by_epochs = static_cast<int64_t>(std::llround(s.epochs * static_cast<double>(each)));
  Schedule schedule;
  schedule.kind = parse_schedule(s.kind, "schedule.kind");
  schedule.steps = std::max<int64_t>(1, s.steps > 0 ? s.steps : by_epochs);
  schedule.warmup_steps =
      static_cast<int64_t>(std::llround(s.warmup_share * static_cast<double>(schedule.steps)));
  schedule.final_fraction = s.final_fraction;
  return schedule;
}

}  // namespace

Tuner::Tuner(const TuneConfig& config, ops::TrainContext ctx, const Clock& clock)
    : config_(config),
      ctx_(ctx),
      clock_(clock),
      lora_(adapter_config(config, kWhere), kWhere),
      files_(std::make_shared<io::Folder>(config.model.from)),
      writer_(config.run.out + "/checkpoints", config.run.checkpoints_kept, alone_, clock) {
  load_base();
  objective_ = std::make_unique<TuneObjective>(config_, ctx_, *model_, lora_);
  read_data();
  if (objective_->method() == TuneMethod::kPreference) {
    objective_->ask_base(train_);
    objective_->ask_base(validation_);
  }
  restore();
}

Tuner::~Tuner() = default;

void Tuner::load_base() {
  const std::string where = files_->where("config.json");
  const io::Json json = io::parse_json(files_->text("config.json"), where);
  model_ = make_model(
      json,
      {.compute = compute_of(config_.model.base),
       .recompute = config_.model.recompute == "block" ? Recompute::kBlock : Recompute::kNone,
       .training = Training::kFrozen,
       .low_rank = &lora_},
      where);
  load_weights(files_, *model_,
               {.quantize = quantize_of(config_.model.base),
                .threads = static_cast<int>(std::max<int64_t>(1, config_.run.threads))});
  Random random(static_cast<uint64_t>(config_.run.seed));
  model_->parameters().initialise(random);
  lora_.initialise(ctx_, model_->weights());
  if (config_.adapter.from.empty()) return;
  io::Folder folder(config_.adapter.from);
  lora_.load(adapters::load_adapter(folder));
}

void Tuner::read_data() {
  const TuneDataConfig& config = config_.data;
  const auto tokenizer = tokenizer::Tokenizer::load(*files_);
  const auto chat = tokenizer::ChatTemplate::load(*files_);
  const ConversationEncoder encoder(*tokenizer, chat);
  const int64_t context = config.context == 0 ? model_->context_max() : config.context;
  if (context > model_->context_max()) {
    throw_error(ErrorCode::kInvalidArgument, "data.context", "{} is longer than the model's {}",
                context, model_->context_max());
  }
  const auto seed = static_cast<uint64_t>(config_.run.seed);
  const TuneMethod method = objective_->method();
  train_.data = read_tune_data(config.train, method, encoder, context);
  if (config.validation.empty()) {
    validation_.data = split_off(train_.data, config.validation_share, seed);
  } else {
    validation_.data = read_tune_data(config.validation, method, encoder, context);
  }
  if (train_.size() == 0) {
    throw_error(ErrorCode::kInvalidArgument, config.train.front(),
                "nothing to learn from in {} lines", train_.data.lines);
  }
  order_ = std::make_unique<TuneOrder>(train_.size(), seed);
  schedule_ = make_schedule(config_, train_.size());
}

void Tuner::restore() {
  const TuneOptimizerConfig& o = config_.optimizer;
  optimizer_ = std::make_unique<Optimizer>(OptimizerOptions{.kind = OptimizerKind::kAdamw,
                                                            .beta1 = o.beta1,
                                                            .beta2 = o.beta2,
                                                            .epsilon = o.epsilon,
                                                            .weight_decay = o.weight_decay},
                                           model_->parameters());
  const uint64_t fingerprint = train_.data.fingerprint(static_cast<uint64_t>(config_.run.seed));
  const std::string folder = config_.run.out + "/checkpoints";
  if (!load_checkpoint(folder, state_, model_->parameters(), *optimizer_)) {
    state_.data_fingerprint = fingerprint;
    state_.layout = layout_of(model_->parameters());
  } else if (state_.data_fingerprint != fingerprint) {
    throw_error(ErrorCode::kInvalidArgument, config_.run.out,
                "its checkpoint was made with other data, context or seed; restore them or choose "
                "another run.out");
  }
  model_->parameters().refresh(ctx_);
  lora_.weights_changed();
  order_->seek(state_.position);
}

TuneStep Tuner::step() {
  const Nanos begin = clock_.now();
  Parameters& parameters = model_->parameters();
  parameters.clear_gradients();
  const TuneLoss sums =
      objective_->learn(train_, order_->take(config_.batch.examples), state_.step);
  TuneStep report;
  report.loss = sums.loss;
  report.accuracy = sums.accuracy;
  report.margin = sums.margin;
  report.grad_norm = std::sqrt(ops::sum_squares(ctx_, parameters.flat_gradient()));
  report.learning_rate = config_.optimizer.learning_rate * schedule_.factor(state_.step);
  report.left_out = !std::isfinite(report.loss) || !std::isfinite(report.grad_norm);
  if (!report.left_out) {
    const double clip = config_.optimizer.clip_norm;
    const double scale = clip > 0 && report.grad_norm > clip ? clip / report.grad_norm : 1.0;
    optimizer_->step(ctx_, parameters, parameters.flat_gradient(), report.learning_rate, scale);
    lora_.weights_changed();
  }
  ++state_.step;
  state_.tokens += sums.learned;
  state_.position = order_->position();
  state_.optimizer_steps = optimizer_->steps();
  report.step = state_.step;
  report.tokens = state_.tokens;
  report.epoch = state_.position.epoch;
  const double seconds =
      std::max(1e-9, static_cast<double>(clock_.now() - begin) / static_cast<double>(kSecond));
  report.tokens_per_second = static_cast<double>(sums.tokens) / seconds;
  report.flops_per_second = sums.flops / seconds;
  report.seconds = seconds;
  return report;
}

TuneValidation Tuner::validate() {
  const TuneLoss judged = objective_->judge(validation_);
  return {.step = state_.step,
          .loss = judged.loss,
          .accuracy = judged.accuracy,
          .margin = judged.margin};
}

// Predictions of the largest batch: of the first epoch's updates, of validation, and of the base's
// own likelihoods.
int64_t Tuner::largest_batch() const {
  int64_t largest = objective_->largest_batch(validation_, validation_.all());
  TuneOrder order(train_.size(), static_cast<uint64_t>(config_.run.seed));
  while (order.position().epoch == 0 && order.position().next < train_.size()) {
    const std::vector<int64_t> update = order.take(config_.batch.examples);
    largest = std::max(largest, objective_->largest_batch(train_, update));
  }
  if (objective_->method() == TuneMethod::kPreference) {
    largest = std::max(largest, objective_->largest_batch(train_, train_.all()));
  }
  return largest;
}

MemoryPieces Tuner::planned() const {
  const std::string where = files_->where("config.json");
  PlanRequest request;
  request.model = plan_model(io::parse_json(files_->text("config.json"), where), "", where);
  const bool narrow = compute_of(config_.model.base) == DType::kBF16;
  request.bytes = narrow ? kHearthBf16 : kHearthF32;
  request.stream_bytes = 4;
  request.activation_bytes = narrow ? 2 : 4;
  request.kept =
      config_.model.recompute == "block" ? KeptActivations::kBlockInputs : KeptActivations::kAll;
  request.tokens = largest_batch();
  request.logit_rows = hearth_logit_rows(request.model.vocabulary);
  LoraPlan lora;
  lora.base_bytes = base_bytes(config_.model.base);
  lora.stated_parameters = model_->parameters().count();
  lora.token_bytes = lora_.bytes_of_token(compute_of(config_.model.base));
  request.lora = lora;
  return plan_training(request).pieces;
}

void Tuner::checkpoint() {
  finish_checkpoint();
  writer_.write(state_, model_->parameters(), *optimizer_);
}

// One that could not be written (a full disk) leaves the older ones, and the job goes on. False:
// that is what happened.
bool Tuner::finish_checkpoint() {
  const std::optional<CheckpointReport> report = writer_.finish();
  if (!report || report->failure.empty()) return true;
  log::warn("no checkpoint of step={} reason=\"{}\"", report->step, report->failure);
  return false;
}

void Tuner::save() const {
  if (!model_->parameters().finite()) {
    throw_error(ErrorCode::kDataLoss, config_.run.out,
                "the adapter's values are no longer numbers, and it is not written; lower "
                "optimizer.learning_rate and begin in another folder");
  }
  adapters::save_adapter(config_.run.out, lora_.adapter(),
                         config_.run.save_dtype == "bf16" ? DType::kBF16 : DType::kF32);
}

bool Tuner::run(TuneObserver& observer, const std::atomic<bool>& stop) {
  const TuneRunConfig& run = config_.run;
  std::filesystem::create_directories(run.out);
  int64_t base = 0;
  for (const FrozenParameter& frozen : model_->weights().frozen) base += frozen.shape.count();
  observer.on_start({.base_parameters = base,
                     .trained_parameters = model_->parameters().count(),
                     .modules = static_cast<int64_t>(lora_.modules()),
                     .data = train_.data,
                     .validation_examples = validation_.size(),
                     .first_step = state_.step,
                     .steps = schedule_.steps,
                     .planned = planned()});
  const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
  while (state_.step < schedule_.steps && !stop.load()) {
    observer.on_step(step());
    const bool last = state_.step == schedule_.steps;
    if (validation_.size() > 0 && (last || due(run.validate_every))) {
      observer.on_validation(validate());
    }
    if (!last && due(run.checkpoint_every)) checkpoint();
  }
  checkpoint();
  const bool kept = finish_checkpoint();
  if (state_.step == schedule_.steps) {
    save();
    return true;
  }
  if (!kept) {
    throw_error(ErrorCode::kIo, run.out + "/checkpoints",
                "the checkpoint of step {} could not be written; make room and run the same "
                "command again",
                state_.step);
  }
  return false;
}

}  // namespace hearth::train
