#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "io/file_source.h"
#include "io/json.h"
#include "ops/optimizer.h"
#include "tokenizer/tokenizer.h"
#include "train/hf_files.h"
#include "train/sample.h"
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
  if (!m.config.empty()) return io::load_json(m.config);
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
    const std::string& path = config.model.config;
    auto model =
        make_model(shape_of(config), {compute, recompute}, path.empty() ? "[model]" : path);
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

OptimizerOptions optimizer_options(const OptimizerConfig& config) {
  return {.kind = parse_optimizer(config.name, "optimizer.name"),
          .beta1 = config.beta1,
          .beta2 = config.beta2,
          .epsilon = config.epsilon,
          .weight_decay = config.weight_decay,
          .momentum = config.momentum};
}

Schedule make_schedule(const ScheduleConfig& config) {
  return {parse_schedule(config.kind, "schedule.kind"), config.steps, config.warmup_steps,
          config.final_fraction, config.decay_fraction};
}

std::unique_ptr<tokenizer::Tokenizer> open_tokenizer(const TrainConfig& config) {
  if (config.run.sample_every == 0) return nullptr;
  io::Folder files(config.data.tokenizer);
  return tokenizer::Tokenizer::load(files);
}

double in_seconds(Nanos time) { return static_cast<double>(time) / static_cast<double>(kSecond); }

}  // namespace

Trainer::Trainer(const TrainConfig& config, ops::TrainContext ctx, const Clock& clock, Wire* wire)
    : config_(config),
      ctx_(ctx),
      clock_(clock),
      ranks_(wire),
      model_(build_model(config, ctx_)),
      data_(open_data(config.data.train, config, *model_)),
      tokenizer_(open_tokenizer(config)),
      plan_(make_shard_plan(model_->parameters(), optimizer_options(config.optimizer).kind,
                            ranks_.size(),
                            static_cast<int64_t>(config.parallel.bucket_mb * 1048576))),
      optimizer_(std::make_unique<Optimizer>(optimizer_options(config.optimizer),
                                             model_->parameters(), plan_.owned_by(ranks_.rank()))),
      weights_(ranks_, model_->parameters(), plan_),
      reducer_(ranks_, model_->parameters(), plan_,
               config.parallel.zero == 2 ? ZeroStage::kTwo : ZeroStage::kOne, clock),
      writer_(config.run.out + "/checkpoints", config.run.checkpoints_kept, ranks_, clock),
      loss_guard_(make_guard(config.optimizer)),
      norm_guard_(make_guard(config.optimizer)) {
  make_schedule(config.schedule);  // its names are checked before hours of work
  if (!config.data.validation.empty()) {
    validation_ = open_data(config.data.validation, config, *model_);
  }
  state_.data_fingerprint = data_->fingerprint();
  state_.layout = layout_of(model_->parameters());
  restore();
  weights_.release_others();
}

Trainer::~Trainer() = default;

void Trainer::restore() {
  const uint64_t fingerprint = state_.data_fingerprint;
  if (load_checkpoint(config_.run.out + "/checkpoints", state_, model_->parameters(),
                      *optimizer_)) {
    if (state_.data_fingerprint != fingerprint) {
      throw_error(ErrorCode::kInvalidArgument, config_.run.out,
                  "its checkpoint was made with other data, context or seed; restore them or "
                  "choose another run.out");
    }
    model_->parameters().refresh(ctx_);
    data_->seek(state_.position);
    loss_guard_.restore(state_.loss_history);
    norm_guard_.restore(state_.norm_history);
  }
  const double mine[] = {static_cast<double>(state_.step)};
  const std::vector<double> all = ranks_.all_gather(mine, "the checkpoint to go on from");
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    throw_error(ErrorCode::kInvalidArgument, config_.run.out,
                "rank {} finds the checkpoint of step {} there, rank 0 that of step {}; run.out "
                "must be on storage that all ranks share",
                rank, all[rank], all[0]);
  }
}

std::string Trainer::at_step(const char* what) const {
  return fmt::format("step {}, {}", state_.step + 1, what);
}

// What all ranks compute in one update, and this one's part of it.
struct Trainer::StepWork {
  std::vector<Batch> batches;  // of this rank
  int64_t rounds = 0;          // micro-batches of the rank that has the most
  int64_t targets = 0;
  int64_t tokens = 0;
  double attended = 0;  // Σ over tokens of the length of their document
  // One divisor for the whole update, so that its split into batches and ranks cannot be felt.
  double per_target() const { return 1.0 / static_cast<double>(std::max<int64_t>(1, targets)); }
};

Trainer::StepWork Trainer::next_work() {
  StepWork work;
  const auto shares = share_out(data_->take(config_.batch.tokens), ranks_.size());
  for (size_t rank = 0; rank < shares.size(); ++rank) {
    std::vector<Batch> batches = make_batches(shares[rank], config_.batch.micro_tokens);
    for (const Batch& batch : batches) {
      work.targets += batch.target_count();
      work.tokens += batch.tokens();
      for (const ops::Segment& segment : batch.segments) {
        work.attended += static_cast<double>(segment.count) * static_cast<double>(segment.count);
      }
    }
    work.rounds = std::max(work.rounds, static_cast<int64_t>(batches.size()));
    if (static_cast<int>(rank) == ranks_.rank()) work.batches = std::move(batches);
  }
  return work;
}

// Σ of this rank's losses. Gradients are reduced during the last micro-batch; in stage 2 during
// each, in as many rounds on all ranks.
double Trainer::accumulate_gradients(const StepWork& work) {
  const auto mine = static_cast<int64_t>(work.batches.size());
  const bool each = reducer_.stage() == ZeroStage::kTwo;
  const int64_t rounds = each ? work.rounds : std::max<int64_t>(1, mine);
  const auto scale = static_cast<float>(work.per_target());
  const GradientsReady ready = [this](int64_t from) { reducer_.ready(from); };
  const std::string what = at_step("");
  double sum = 0;
  reducer_.clear();
  for (int64_t i = 0; i < rounds; ++i) {
    const bool reduces = each || i + 1 == rounds;
    if (reduces) reducer_.start_round(what);
    if (i < mine) {
      sum += model_->forward_backward(ctx_, work.batches[static_cast<size_t>(i)], scale,
                                      reduces ? ready : GradientsReady());
    }
    if (reduces) reducer_.ready(0);
    if (reduces) reducer_.finish_round();
  }
  return sum;
}

// The loss and the norm of all ranks, and the update, unless they are a spike.
void Trainer::judge_and_move(double local_sum, const StepWork& work, StepReport& report) {
  const TensorView gradients = reducer_.gradients();
  const double squares = gradients.empty() ? 0.0 : ops::sum_squares(ctx_, gradients);
  double sums[] = {local_sum, squares};
  ranks_.all_reduce(sums, at_step("losses"));
  report.loss = sums[0] * work.per_target();
  report.grad_norm = std::sqrt(sums[1]);
  report.learning_rate =
      config_.optimizer.learning_rate * make_schedule(config_.schedule).factor(state_.step);
  const bool loss_spike = loss_guard_.is_spike(report.loss);
  report.left_out = norm_guard_.is_spike(report.grad_norm) || loss_spike;
  if (report.left_out) return;
  const double clip = config_.optimizer.clip_norm;
  const double scale = clip > 0 && report.grad_norm > clip ? clip / report.grad_norm : 1.0;
  optimizer_->step(ctx_, model_->parameters(), gradients, report.learning_rate, scale);
  weights_.share(ctx_, at_step("weights"));
}

StepReport Trainer::train_step() {
  const Nanos begin = clock_.now();
  const StepWork work = next_work();
  StepReport report;
  judge_and_move(accumulate_gradients(work), work, report);
  ++state_.step;
  state_.tokens += work.targets;
  state_.position = data_->position();
  state_.optimizer_steps = optimizer_->steps();
  state_.loss_history = loss_guard_.history();
  state_.norm_history = norm_guard_.history();
  report.step = state_.step;
  report.tokens = state_.tokens;
  report.epoch = state_.position.epoch;
  const auto tokens = static_cast<double>(work.tokens);
  report.tokens_per_second = tokens / std::max(1e-9, in_seconds(clock_.now() - begin));
  report.flops_per_second =
      report.tokens_per_second * model_->flops_per_token(work.attended / tokens);
  report.reduce_seconds = in_seconds(reducer_.busy());
  report.wait_seconds = in_seconds(reducer_.waited());
  return report;
}

ValidationReport evaluate(ops::TrainContext& ctx, Model& model, DataStream& data,
                          int64_t micro_tokens, int64_t tokens_max) {
  Collective alone(nullptr);
  return evaluate(ctx, model, data, micro_tokens, tokens_max, alone);
}

ValidationReport evaluate(ops::TrainContext& ctx, Model& model, DataStream& data,
                          int64_t micro_tokens, int64_t tokens_max, Collective& ranks) {
  data.seek({});
  double sum[] = {0.0};
  int64_t targets = 0;
  int64_t seen = 0;  // tokens, the first of each document included
  int turn = 0;
  while (data.position().next < data.pieces() && (tokens_max == 0 || targets < tokens_max)) {
    const std::vector<DataStream::Piece> pieces = data.take(micro_tokens);
    for (const Batch& batch : make_batches(pieces, micro_tokens)) {
      targets += batch.target_count();
      if (turn++ % ranks.size() != ranks.rank()) continue;
      std::vector<float> each(batch.ids.size());
      model.losses(ctx, batch, each);
      for (float loss : each) sum[0] += loss;
    }
    for (const auto& piece : pieces) seen += static_cast<int64_t>(piece.tokens.size());
  }
  ranks.all_reduce(sum, "validation");
  ValidationReport report;
  report.tokens = targets;
  report.loss = sum[0] / static_cast<double>(std::max<int64_t>(1, targets));
  // Of a part of the data the bytes are taken in proportion to its tokens.
  const double bytes = static_cast<double>(data.text_bytes()) * static_cast<double>(seen) /
                       static_cast<double>(std::max<int64_t>(1, data.tokens()));
  report.bits_per_byte = bytes > 0 ? sum[0] / std::numbers::ln2 / bytes : 0.0;
  return report;
}

ValidationReport Trainer::validate() {
  ValidationReport report = evaluate(ctx_, *model_, *validation_, config_.batch.micro_tokens,
                                     config_.run.validation_tokens, ranks_);
  report.step = state_.step;
  return report;
}

void Trainer::sample(Observer& observer) {
  if (ranks_.rank() != 0) return;
  SampleOptions options{.tokens_max = config_.run.sample_tokens,
                        .temperature = config_.run.sample_temperature};
  for (size_t i = 0; i < config_.run.sample_prompts.size(); ++i) {
    const std::string& prompt = config_.run.sample_prompts[i];
    options.seed = split_mix(static_cast<uint64_t>(config_.run.seed) + i);
    observer.on_sample(
        {state_.step, prompt, sample_text(ctx_, *model_, *tokenizer_, prompt, options)});
  }
}

void Trainer::checkpoint(Observer& observer) {
  settle_last(observer);
  writer_.write(state_, model_->parameters(), *optimizer_);
}

// False: the last checkpoint could not be written.
bool Trainer::settle_last(Observer& observer) {
  const std::optional<CheckpointReport> report = writer_.finish();
  if (report) observer.on_checkpoint(*report);
  return !report || report->failure.empty();
}

bool Trainer::any_rank(const std::atomic<bool>& flag) {
  double flags[] = {flag.load() ? 1.0 : 0.0};
  ranks_.all_reduce(flags, at_step("start"));
  return flags[0] > 0;
}

void Trainer::save() {
  weights_.gather_all("the model to save");
  if (!model_->parameters().finite()) {
    throw_error(ErrorCode::kDataLoss, config_.run.out,
                "the model's weights are no longer numbers, and it is not written; lower "
                "optimizer.learning_rate and begin in another folder");
  }
  if (ranks_.rank() == 0) {
    save_model(
        config_.run.out + "/model", *model_,
        {.dtype = parse_precision(config_.run.save_dtype), .tokenizer = config_.data.tokenizer});
  }
  weights_.release_others();
}

bool Trainer::run(Observer& observer, const std::atomic<bool>& stop) {
  const RunConfig& run = config_.run;
  const int64_t steps = config_.schedule.steps;
  std::filesystem::create_directories(run.out);
  const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
  observer.on_start(*model_, *data_, state_.step);
  while (!any_rank(stop) && state_.step < steps) {
    observer.on_step(train_step());
    const bool last = state_.step == steps;
    if (validation_ && (last || due(run.validate_every))) observer.on_validation(validate());
    if (tokenizer_ && (last || due(run.sample_every))) sample(observer);
    if (const auto report = writer_.poll()) observer.on_checkpoint(*report);
    if (!last && due(run.checkpoint_every)) checkpoint(observer);
  }
  checkpoint(observer);
  if (!settle_last(observer)) {
    throw_error(ErrorCode::kIo, run.out + "/checkpoints",
                "the last checkpoint, of step {}, could not be written; make room and run the same "
                "command again",
                state_.step);
  }
  if (state_.step < steps) return false;
  save();
  return true;
}

}  // namespace hearth::train
