#include "engine/cost_model.h"

#include <algorithm>

namespace hearth::engine {
namespace {

constexpr int64_t kPicosPerNano = 1000;

}  // namespace

int64_t context_of(int32_t computed, int32_t count) {
  return int64_t{count} * computed + int64_t{count} * (count - 1) / 2;
}

Nanos CostModel::time(const StepWork& work) const {
  const int64_t ps = step_ps + prompt_token_ps * work.prompt_tokens +
                     prompt_context_ps * work.prompt_context + sequence_ps * work.generating +
                     context_ps * work.generating_context + adapter_ps * work.adapters +
                     adapter_row_ps * work.adapter_rows;
  return ps / kPicosPerNano;
}

int64_t CostModel::unit_ps() const {
  return std::max<int64_t>(prompt_token_ps + prompt_context_ps * kReferencePrompt / 2, 1);
}

int32_t CostModel::saleable_permille(Nanos step_time) const {
  const int64_t fixed = step_ps / kPicosPerNano;
  if (step_time <= fixed) return 0;
  return static_cast<int32_t>((step_time - fixed) * 1000 / step_time);
}

Cost TokenPrices::of_prompt(int32_t cached, int32_t prompt_tokens, AdapterId with) const {
  const int32_t count = prompt_tokens - cached;
  const Cost each = prompt + (with == kBaseModel ? 0 : adapter);
  return each * count + prompt_context * context_of(cached, count);
}

Cost TokenPrices::of_tokens(int64_t before, int32_t count, AdapterId with) const {
  const Cost each = generated + (with == kBaseModel ? 0 : adapter);
  return each * count + context * (before * count + int64_t{count} * (count - 1) / 2);
}

TokenPrices prices_of(const CostModel& costs, Nanos step_time, int32_t sequences) {
  const auto priced = [unit = costs.unit_ps()](int64_t ps) {
    const __int128 scaled = static_cast<__int128>(ps) * kCostPerUnit;
    return static_cast<Cost>((scaled + unit / 2) / unit);
  };
  // All of them generating and nothing else: what the step takes is theirs, less what is not sold.
  const int64_t whole = costs.sequence_ps + costs.step_ps / std::max(sequences, 1);
  const int64_t share = whole / 1000 * costs.saleable_permille(step_time);
  return {.prompt = std::max<Cost>(priced(costs.prompt_token_ps), 1),
          .prompt_context = priced(costs.prompt_context_ps),
          .generated = std::max<Cost>(priced(std::max(costs.sequence_ps, share)), 1),
          .context = priced(costs.context_ps),
          .adapter = priced(costs.adapter_row_ps)};
}

Cost capacity_per_minute(const CostModel& costs, Nanos step_time) {
  if (!costs.known()) return 0;
  const __int128 minute_ps = static_cast<__int128>(60) * kSecond * kPicosPerNano;
  const __int128 sold = minute_ps * costs.saleable_permille(step_time) / 1000;
  return static_cast<Cost>(sold * kCostPerUnit / costs.unit_ps());
}

}  // namespace hearth::engine
