// hearth inspect: what a model is, what it takes, and what fits here.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/commands.h"
#include "apps/local_model.h"
#include "apps/model_flags.h"
#include "engine/types.h"
#include "runner/memory.h"

namespace hearth::apps {
namespace {

std::string bytes_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string count_text(int64_t count) {
  if (count >= 1'000'000'000) return fmt::format("{:.2f} B", static_cast<double>(count) / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.2f} M", static_cast<double>(count) / 1e6);
  return fmt::format("{}", count);
}

void row(const char* name, const std::string& value) {
  std::printf("  %-24s %s\n", name, value.c_str());
}

std::string windows_text(const models::ModelInfo& info) {
  const auto sliding = std::count_if(info.windows.begin(), info.windows.end(),
                                     [](int32_t window) { return window > 0; });
  if (sliding == 0) return "all positions, in every layer";
  const int32_t window = *std::max_element(info.windows.begin(), info.windows.end());
  return fmt::format("{} positions in {} layers, all in {}", window, sliding,
                     info.layers - sliding);
}

void print_architecture(const models::ModelInfo& info, int64_t parameters) {
  row("architecture", info.architecture);
  row("parameters", count_text(parameters));
  row("weights", info.quantize == models::Quantize::kNone
                     ? info.stored
                     : fmt::format("{} in the file, quantised to {}", info.stored,
                                   models::to_string(info.quantize)));
  row("layers", fmt::format("{} of width {}, MLP {}", info.layers, info.hidden, info.intermediate));
  row("attention",
      fmt::format("{} heads of {}, {} KV heads", info.heads, info.head_dim, info.kv_heads));
  row("sees", windows_text(info));
  row("vocabulary", fmt::format("{}", info.vocabulary));
  row("positions", fmt::format("rope scaling {}, {} tokens, at most {}", info.rope,
                               info.max_model_len, info.max_len_possible));
}

void print_parts(const runner::MemoryPlan& plan, int64_t parameters) {
  const auto line = [&](const char* name, int64_t count, int64_t bytes) {
    std::printf("  %-24s %12s %12s %7.1f %%\n", name, count_text(count).c_str(),
                bytes_text(bytes).c_str(),
                100.0 * static_cast<double>(bytes) / static_cast<double>(plan.weight_bytes_total));
  };
  std::printf("\n  %-24s %12s %12s %9s\n", "part", "parameters", "memory", "share");
  for (const auto& [part, bytes] : plan.weight_bytes) {
    const auto count = plan.parameters.find(part);
    line(models::to_string(part), count == plan.parameters.end() ? 0 : count->second, bytes);
  }
  line("all", parameters, plan.weight_bytes_total);
  std::printf("\n");
}

void print_fit(const runner::MemoryPlan& plan, const models::ModelInfo& info, DType kv_dtype) {
  const int64_t free = runner::available_memory_bytes();
  const int64_t tokens = runner::blocks_that_fit(plan, free) * engine::kBlockTokens;
  row("KV cache",
      fmt::format("{} a token in {}, {} a full text", bytes_text(plan.kv_bytes_per_token),
                  to_string(kv_dtype), bytes_text(plan.kv_bytes_per_token * info.max_model_len)));
  row("work space of a step", bytes_text(plan.scratch_bytes));
  row("free memory here", bytes_text(free));
  if (tokens == 0) {
    row("fits here", "no: weights and one step need more than is free");
    return;
  }
  row("fits here", fmt::format("yes, with {} tokens of context", count_text(tokens)));
  row("full texts at once", fmt::format("{}", tokens / std::max(info.max_model_len, 1)));
}

void run_inspect(const ModelFlags& flags) {
  const ModelSource source = find_model(flags.model, flags.data_dir);
  const auto model = models::load(*source.files, load_options(flags));
  const runner::CpuRunnerOptions options = runner_options(flags, *model);
  const runner::MemoryPlan plan = runner::plan_memory(*model, options);
  int64_t parameters = 0;
  for (const auto& [part, count] : plan.parameters) parameters += count;
  std::printf("%s\n", source.name.c_str());
  print_architecture(model->info, parameters);
  print_parts(plan, parameters);
  print_fit(plan, model->info, runner::kv_dtype(options, model->info));
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "inspect", "Show a model's architecture, its memory by part, and what fits here");
  auto flags = std::make_shared<ModelFlags>();
  add_model_flags(*command, *flags);
  command->callback([flags] { run_inspect(*flags); });
}

}  // namespace hearth::apps
