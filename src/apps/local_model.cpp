#include "apps/local_model.h"

#include <algorithm>
#include <cmath>

#include "apps/calibrations.h"
#include "apps/progress.h"
#include "base/error.h"
#include "engine/types.h"
#include "io/json.h"
#include "runner/memory.h"
#include "serve/ids.h"
#include "serve/language_of_files.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace hearth::apps {
namespace {

// The share of free memory that the KV cache may take when nobody says how much.
constexpr double kKvMemoryShare = 0.4;

int64_t blocks_of_tokens(int64_t tokens) {
  return (tokens + engine::kBlockTokens - 1) / engine::kBlockTokens;
}

LoadedModel load_with_progress(ModelSource& source, const ModelFlags& flags) {
  ProgressBar progress("loading");
  return load_model(source, load_options(flags), flags.data_dir,
                    flags.no_packed_cache ? PackedCache::kOff : PackedCache::kOn,
                    [&](int64_t done, int64_t total) { progress.show(done, total); });
}

// As many blocks as memory allows, and no more than all sequences at full length could use.
int64_t default_blocks(const ModelFlags& flags, const models::Model& model,
                       const runner::CpuRunnerOptions& options) {
  const int64_t one = blocks_of_tokens(model.info.max_model_len);
  const int64_t useful = one * flags.max_num_seqs;
  const auto memory =
      static_cast<int64_t>(static_cast<double>(runner::available_memory_bytes()) * kKvMemoryShare);
  const int64_t fitting = runner::blocks_that_fit(runner::plan_memory(model, options), memory);
  return std::clamp(fitting, std::min(one, useful), useful);
}

std::optional<DType> parse_kv_cache_dtype(const std::string& text) {
  if (text == "int8") return DType::kI8;
  if (text == "f32") return DType::kF32;
  if (text == "f16") return DType::kF16;
  if (text == "bf16") return DType::kBF16;
  return std::nullopt;
}

serve::GenerationDefaults generation_defaults(io::FileSource& files) {
  constexpr const char* kFile = "generation_config.json";
  if (!files.has(kFile)) return {};
  const std::string where = files.where(kFile);
  return serve::read_generation_defaults(io::parse_json(files.text(kFile), where), where);
}

// The model's own ends of text, and its tokenizer's.
std::vector<engine::TokenId> end_tokens(const models::ModelInfo& info,
                                        const tokenizer::Tokenizer& tokenizer) {
  std::vector<engine::TokenId> ends = info.eos;
  const int32_t eos = tokenizer.eos_id();
  if (eos >= 0 && std::find(ends.begin(), ends.end(), eos) == ends.end()) ends.push_back(eos);
  return ends;
}

models::Quantize parse_quantize(const std::string& text) {
  if (text == "q8") return models::Quantize::kQ8;
  return text == "q4" ? models::Quantize::kQ4 : models::Quantize::kNone;
}

}  // namespace

models::LoadOptions load_options(const ModelFlags& flags) {
  return {.max_model_len = flags.max_model_len,
          .compute = flags.compute == "f32" ? ops::ComputeType::kF32 : ops::ComputeType::kAuto,
          .quantize = parse_quantize(flags.quantize),
          .threads = flags.threads > 0 ? flags.threads : backend::cpu::usable_cores(),
          .kernels = &backend::cpu::quantize_kernels()};
}

runner::CpuRunnerOptions runner_options(const ModelFlags& flags, const models::Model& model) {
  runner::CpuRunnerOptions options;
  options.max_num_seqs = flags.max_num_seqs;
  options.max_num_batched_tokens = std::max(flags.max_num_batched_tokens, flags.max_num_seqs);
  options.kv_dtype = parse_kv_cache_dtype(flags.kv_cache_dtype);
  const int64_t blocks = flags.kv_cache_tokens > 0 ? blocks_of_tokens(flags.kv_cache_tokens)
                                                   : default_blocks(flags, model, options);
  options.num_blocks = static_cast<int32_t>(blocks);
  return options;
}

LocalModel::LocalModel(const ModelFlags& flags, const Clock& clock, const LoraFlags& lora)
    : source_(find_model(flags.model, flags.data_dir)),
      loaded_(load_with_progress(source_, flags)),
      draft_(flags.draft_model.empty() ? nullptr : std::make_unique<const LocalDraft>(flags)),
      backend_({.threads = flags.threads}),
      threads_(backend_.context().workers.count()),
      runner_options_(runner_options(flags, *loaded_.model)) {
  make_runner(flags, lora);
  make_handle(flags, clock);
}

void LocalModel::make_runner(const ModelFlags& flags, const LoraFlags& lora) {
  engine::EngineConfig& engine = handle_.engine;
  if (lora.memory_bytes > 0) {
    adapters_ = std::make_unique<LocalAdapters>(loaded_.model->projections, lora);
    handle_.adapters = adapters_.get();
    engine.adapter_pages = adapters_->store().pages();
    engine.max_loras = lora.max_loras;
  }
  runner_ = std::make_unique<runner::CpuRunner>(*loaded_.model, runner_options_, backend_.context(),
                                                adapters_ ? &adapters_->store() : nullptr);
  engine.num_blocks = runner_options_.num_blocks;
  engine.max_num_seqs = runner_options_.max_num_seqs;
  engine.max_num_batched_tokens = runner_options_.max_num_batched_tokens;
  engine.step_time_target = flags.step_ms * kMillisecond;
  engine.step_stretch_permille = static_cast<int32_t>(std::lround(flags.itl_stretch * 1000));
  engine.max_guessed_tokens = flags.num_speculative_tokens;
  if (draft_ && engine.max_guessed_tokens == 0) engine.max_guessed_tokens = kDraftedTokens;
  engine.max_model_len = static_cast<int32_t>(
      std::min<int64_t>(loaded_.model->info.max_model_len,
                        int64_t{runner_options_.num_blocks} * engine::kBlockTokens));
  engine.vocabulary = static_cast<int32_t>(loaded_.model->info.vocabulary);
  engine.prefix_caching = !flags.no_prefix_caching;
  engine.prefix_hash_key = serve::secret_seed();
  use_calibration(flags.data_dir, calibration_key(), engine);
  handle_.runner = runner_.get();
}

flywheel::CalibrationKey LocalModel::calibration_key() const {
  return apps::calibration_key(loaded_.model->info, runner_options_, threads_);
}

// Weights lie in the packed file, or in memory of their own where there is none yet, or in the
// model's files.
size_t LocalModel::mapped_weight_bytes() const {
  if (loaded_.packed) return loaded_.packed->bytes().size();
  return loaded_.model->packed.empty() ? source_.files->mapped_bytes() : 0;
}

size_t LocalModel::move_weights_to_huge_pages(const std::stop_token& stop) const {
  if (loaded_.packed) return loaded_.packed->move_to_huge_pages(stop);
  return loaded_.model->packed.empty() ? source_.files->move_to_huge_pages(stop) : 0;
}

void LocalModel::make_drafter(const tokenizer::Tokenizer& tokenizer) {
  if (!draft_) return;
  drafter_ = draft_->drafter(loaded_.model->info, handle_.name, tokenizer,
                             handle_.engine.max_speculative_rows, backend_.context());
  handle_.drafter = drafter_.get();
}

void LocalModel::make_handle(const ModelFlags& flags, const Clock& clock) {
  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer =
      tokenizer::Tokenizer::load(*source_.files);
  const auto chat = std::make_shared<const tokenizer::ChatTemplate>(
      tokenizer::ChatTemplate::load(*source_.files));
  handle_.name = flags.name.empty() ? source_.name : flags.name;
  make_drafter(*tokenizer);
  handle_.end_tokens = end_tokens(loaded_.model->info, *tokenizer);
  handle_.defaults = generation_defaults(*source_.files);
  handle_.embedding_dimension = static_cast<int32_t>(loaded_.model->info.hidden);
  serve::Language language =
      serve::make_language(tokenizer, chat, {handle_.end_tokens, handle_.engine.vocabulary}, clock);
  handle_.codec = std::move(language.codec);
  handle_.chat = std::move(language.chat);
  handle_.constraints = std::move(language.constraints);
}

}  // namespace hearth::apps
