#include "train/tuner.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "io/json.h"
#include "ops/optimizer.h"
#include "train/hf_files.h"
#include "train/preference.h"

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

std::vector<int64_t> all_of(const TuneData& data) {
  std::vector<int64_t> all(data.examples.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
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

// One text of a batch: which example, and where its losses are.
struct Tuner::Text {
  int64_t example = 0;
  bool other = false;  // the reply that was not preferred
  size_t begin = 0;    // in the batch
  size_t count = 0;
  double loss = 0;  // nats, of the learned tokens
};

struct Tuner::Micro {
  Batch batch;
  std::vector<Text> texts;

  void sum_losses(std::span<const float> each) {
    for (Text& text : texts) {
      text.loss = 0;
      for (size_t i = 0; i < text.count; ++i) text.loss += each[text.begin + i];
    }
  }
};

struct Tuner::Sums {
  double loss = 0;  // a learned token, or a pair
  double accuracy = 0;
  double margin = 0;
  int64_t learned = 0;
  int64_t tokens = 0;
};

Tuner::Tuner(const TuneConfig& config, ops::TrainContext ctx, const Clock& clock)
    : config_(config),
      ctx_(ctx),
      clock_(clock),
      method_(config.method.name == "dpo" ? TuneMethod::kPreference : TuneMethod::kSupervised),
      lora_(adapter_config(config, kWhere), kWhere),
      files_(std::make_shared<io::Folder>(config.model.from)),
      writer_(config.run.out + "/checkpoints", config.run.checkpoints_kept, alone_, clock) {
  load_base();
  read_data(config);
  if (method_ == TuneMethod::kPreference) {
    reference_ = reference(data_);
    validation_reference_ = reference(validation_);
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

void Tuner::read_data(const TuneConfig& config) {
  const auto tokenizer = tokenizer::Tokenizer::load(*files_);
  const auto chat = tokenizer::ChatTemplate::load(*files_);
  const ConversationEncoder encoder(*tokenizer, chat);
  int64_t context = config.data.context == 0 ? model_->context_max() : config.data.context;
  if (context > model_->context_max()) {
    throw_error(ErrorCode::kInvalidArgument, "data.context", "{} is longer than the model's {}",
                context, model_->context_max());
  }
  const auto seed = static_cast<uint64_t>(config.run.seed);
  data_ = read_tune_data(config.data.train, method_, encoder, context);
  if (config.data.validation.empty()) {
    validation_ = split_off(data_, config.data.validation_share, seed);
  } else {
    validation_ = read_tune_data(config.data.validation, method_, encoder, context);
  }
  if (data_.examples.empty()) {
    throw_error(ErrorCode::kInvalidArgument, config.data.train.front(),
                "nothing to learn from in {} lines", data_.lines);
  }
  order_ = std::make_unique<TuneOrder>(std::ssize(data_.examples), seed);
  schedule_ = make_schedule(config, std::ssize(data_.examples));
}

void Tuner::restore() {
  const TuneOptimizerConfig& o = config_.optimizer;
  optimizer_ = std::make_unique<Optimizer>(OptimizerOptions{.kind = OptimizerKind::kAdamw,
                                                            .beta1 = o.beta1,
                                                            .beta2 = o.beta2,
                                                            .epsilon = o.epsilon,
                                                            .weight_decay = o.weight_decay},
                                           model_->parameters());
  const uint64_t fingerprint = data_.fingerprint(static_cast<uint64_t>(config_.run.seed));
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

// Texts packed into batches of at most batch.micro_tokens predictions (a longer text stands alone).
std::vector<Tuner::Micro> Tuner::micros(const TuneData& data,
                                        const std::vector<int64_t>& examples) const {
  std::vector<Micro> list;
  const auto add = [&](int64_t example, const MarkedTokens& text, bool other) {
    const auto count = std::ssize(text.tokens) - 1;
    if (list.empty() || list.back().batch.tokens() + count > config_.batch.micro_tokens) {
      list.emplace_back();
    }
    Micro& micro = list.back();
    micro.texts.push_back({example, other, micro.batch.ids.size(), static_cast<size_t>(count), 0});
    micro.batch.append(text.tokens, text.learn);
  };
  for (int64_t example : examples) {
    const TuneExample& e = data.examples[static_cast<size_t>(example)];
    add(example, e.text, false);
    if (method_ == TuneMethod::kPreference) add(example, e.other, true);
  }
  return list;
}

std::vector<Tuner::Reference> Tuner::reference(const TuneData& data) {
  std::vector<Reference> out(data.examples.size());
  lora_.set_mode(LoraShared::Mode::kOff);
  for (Micro& micro : micros(data, all_of(data))) {
    std::vector<float> each(micro.batch.ids.size());
    model_->losses(ctx_, micro.batch, each);
    micro.sum_losses(each);
    for (const Text& text : micro.texts) {
      Reference& of = out[static_cast<size_t>(text.example)];
      (text.other ? of.other : of.text) = -text.loss;
    }
  }
  return out;
}

Tuner::Sums Tuner::learn(const std::vector<int64_t>& examples) {
  std::vector<Micro> parts = micros(data_, examples);
  const auto key = [&](size_t part) {
    const auto number = static_cast<uint64_t>(state_.step) << 20 | part;
    return split_mix(split_mix(static_cast<uint64_t>(config_.run.seed)) ^ number);
  };
  Sums sums;
  for (const Micro& part : parts) {
    sums.learned += part.batch.target_count();
    sums.tokens += part.batch.tokens();
  }
  if (method_ == TuneMethod::kPreference) {
    for (size_t i = 0; i < parts.size(); ++i) {
      lora_.set_mode(LoraShared::Mode::kTrain, key(i));
      std::vector<float> each(parts[i].batch.ids.size());
      model_->losses(ctx_, parts[i].batch, each);
      parts[i].sum_losses(each);
    }
    const Sums judged = learn_preferences(parts, examples.size());
    sums.loss = judged.loss;
    sums.accuracy = judged.accuracy;
    sums.margin = judged.margin;
  }
  // One divisor for the whole update, so that its split into batches cannot be felt.
  const double per_target = 1.0 / static_cast<double>(std::max<int64_t>(1, sums.learned));
  const bool weighted = method_ == TuneMethod::kPreference;
  double total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    lora_.set_mode(LoraShared::Mode::kTrain, key(i));
    total += model_->forward_backward(ctx_, parts[i].batch,
                                      weighted ? 1.0f : static_cast<float>(per_target));
  }
  if (!weighted) sums.loss = total * per_target;
  return sums;
}

namespace {

// The likelihoods of one example's replies, as its texts are met.
struct Pair {
  ReplyLikelihood preferred, other;
};

}  // namespace

// Weighs each text of the batches by the slope of its pair's loss.
Tuner::Sums Tuner::learn_preferences(std::vector<Micro>& parts, size_t examples) {
  std::vector<Pair> pairs(data_.examples.size());
  for (const Micro& part : parts) {
    for (const Text& text : part.texts) {
      const auto at = static_cast<size_t>(text.example);
      (text.other ? pairs[at].other : pairs[at].preferred) = {
          -text.loss, text.other ? reference_[at].other : reference_[at].text};
    }
  }
  Sums sums;
  const double each = 1.0 / static_cast<double>(examples);
  for (Micro& part : parts) {
    part.batch.weights.assign(part.batch.ids.size(), 0.0f);
    for (const Text& text : part.texts) {
      const Pair& pair = pairs[static_cast<size_t>(text.example)];
      const PreferenceLoss loss = preference_loss(pair.preferred, pair.other, config_.method.beta);
      // The model's losses are -log p, hence the signs.
      const double weight = (text.other ? loss.slope : -loss.slope) * each;
      std::fill_n(part.batch.weights.begin() + static_cast<ptrdiff_t>(text.begin), text.count,
                  static_cast<float>(weight));
      if (text.other) continue;
      sums.loss += loss.loss * each;
      sums.margin += loss.margin * each;
      sums.accuracy += loss.margin > 0 ? each : 0;
    }
  }
  return sums;
}

TuneStep Tuner::step() {
  const Nanos begin = clock_.now();
  Parameters& parameters = model_->parameters();
  parameters.clear_gradients();
  const Sums sums = learn(order_->take(config_.batch.examples));
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
  return report;
}

TuneValidation Tuner::validate() {
  TuneValidation report;
  report.step = state_.step;
  lora_.set_mode(LoraShared::Mode::kExact);
  std::vector<Pair> pairs(validation_.examples.size());
  double loss = 0;
  int64_t learned = 0;
  for (Micro& part : micros(validation_, all_of(validation_))) {
    std::vector<float> each(part.batch.ids.size());
    model_->losses(ctx_, part.batch, each);
    part.sum_losses(each);
    learned += part.batch.target_count();
    for (const Text& text : part.texts) {
      loss += text.loss;
      (text.other ? pairs[static_cast<size_t>(text.example)].other
                  : pairs[static_cast<size_t>(text.example)].preferred)
          .trained = -text.loss;
    }
  }
  report.loss = loss / static_cast<double>(std::max<int64_t>(1, learned));
  if (method_ == TuneMethod::kSupervised) return report;
  report.loss = 0;
  const double share = 1.0 / static_cast<double>(pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i].preferred.base = validation_reference_[i].text;
    pairs[i].other.base = validation_reference_[i].other;
    const PreferenceLoss each =
        preference_loss(pairs[i].preferred, pairs[i].other, config_.method.beta);
    report.loss += each.loss * share;
    report.margin += each.margin * share;
    report.accuracy += each.margin > 0 ? share : 0;
  }
  return report;
}

// Predictions of the largest batch: of the first epoch's updates, of validation, and of the base's
// own likelihoods.
int64_t Tuner::largest_batch() const {
  int64_t largest = 0;
  const auto see = [&](const TuneData& data, const std::vector<int64_t>& examples) {
    for (const Micro& part : micros(data, examples)) {
      largest = std::max(largest, part.batch.tokens());
    }
  };
  TuneOrder order(std::ssize(data_.examples), static_cast<uint64_t>(config_.run.seed));
  while (order.position().epoch == 0 && order.position().next < std::ssize(data_.examples)) {
    see(data_, order.take(config_.batch.examples));
  }
  see(validation_, all_of(validation_));
  if (method_ == TuneMethod::kPreference) see(data_, all_of(data_));
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

// One that could not be written (a full disk) leaves the older ones, and the job goes on.
void Tuner::finish_checkpoint() {
  const std::optional<CheckpointReport> report = writer_.finish();
  if (!report || report->failure.empty()) return;
  log::warn("no checkpoint of step={} reason=\"{}\"", report->step, report->failure);
}

void Tuner::save() const {
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
                     .data = data_,
                     .validation_examples = std::ssize(validation_.examples),
                     .first_step = state_.step,
                     .steps = schedule_.steps,
                     .planned = planned()});
  const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
  while (state_.step < schedule_.steps && !stop.load()) {
    observer.on_step(step());
    const bool last = state_.step == schedule_.steps;
    if (!validation_.examples.empty() && (last || due(run.validate_every))) {
      observer.on_validation(validate());
    }
    if (!last && due(run.checkpoint_every)) checkpoint();
  }
  checkpoint();
  finish_checkpoint();
  if (state_.step < schedule_.steps) return false;
  save();
  return true;
}

}  // namespace hearth::train
