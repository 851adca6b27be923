// A model loaded in this process and everything that it takes to run it: weights, kernels, threads,
// KV cache, language.
#pragma once

#include <memory>
#include <stop_token>

#include "apps/local_adapters.h"
#include "apps/local_draft.h"
#include "apps/lora_flags.h"
#include "apps/model_flags.h"
#include "apps/model_source.h"
#include "apps/packed_cache.h"
#include "backend/cpu/cpu_backend.h"
#include "flywheel/calibration.h"
#include "models/model.h"
#include "runner/cpu_runner.h"
#include "serve/model_handle.h"

namespace hearth::apps {

class LocalModel {
 public:
  // Shows a progress bar while loading. Throws Error naming the file, tensor or flag that is wrong.
  // `clock` outlives it. With memory for adapters in `lora`, they can be served.
  LocalModel(const ModelFlags& flags, const Clock& clock, const LoraFlags& lora = {});

  const models::Model& model() const { return *loaded_.model; }
  // For a server; valid as long as this object.
  const serve::ModelHandle& handle() const { return handle_; }
  int threads() const { return threads_; }
  // Of the files that weights are views of.
  size_t mapped_weight_bytes() const;
  // Of those: see MappedFile. While the model runs, and by one thread.
  size_t move_weights_to_huge_pages(const std::stop_token& stop) const;
  // Under which its measured costs are kept.
  flywheel::CalibrationKey calibration_key() const;

 private:
  void make_runner(const ModelFlags& flags, const LoraFlags& lora);
  void make_drafter(const tokenizer::Tokenizer& tokenizer);
  void make_handle(const ModelFlags& flags, const Clock& clock);

  ModelSource source_;
  LoadedModel loaded_;
  std::unique_ptr<const LocalDraft> draft_;  // null: none
  backend::cpu::Backend backend_;
  int threads_ = 0;
  runner::CpuRunnerOptions runner_options_;
  std::unique_ptr<LocalAdapters> adapters_;  // null: none are served
  std::unique_ptr<runner::CpuRunner> runner_;
  std::unique_ptr<runner::DraftModel> drafter_;  // null: none
  serve::ModelHandle handle_;
};

// What the flags ask of the loader and the runner; also for `hearth inspect`.
models::LoadOptions load_options(const ModelFlags& flags);
runner::CpuRunnerOptions runner_options(const ModelFlags& flags, const models::Model& model);

}  // namespace hearth::apps
