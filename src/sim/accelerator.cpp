#include "sim/accelerator.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"

namespace hearth::sim {
namespace {

// Data sheets: A100 80GB SXM, H100 SXM, H200 SXM, MI300X.
constexpr Accelerator kAccelerators[] = {
    {"a100", 312, 2039, 80},
    {"h100", 989, 3350, 80},
    {"h200", 989, 4800, 141},
    {"mi300x", 1307, 5300, 192},
};

// config.json of the published models.
constexpr ModelShape kModels[] = {
    {"llama-3.1-8b", 8.03e9, 32, 4096, 2 * 8 * 128},
    {"llama-3.1-70b", 70.6e9, 80, 8192, 2 * 8 * 128},
    {"qwen2.5-32b", 32.8e9, 64, 5120, 2 * 8 * 128},
};

constexpr double kBytes = 2;            // of a weight and of an element of the cache
constexpr double kReachedFlops = 0.55;  // of the peak, by large products
constexpr double kReachedBytes = 0.80;  // of the bandwidth
constexpr double kUsableMemory = 0.90;
constexpr double kLaunch = 1.5e-3;   // seconds of a step for what is not computed on the device
constexpr double kExchange = 12e-6;  // seconds a layer for the sums over several devices

template <typename T>
const T& find(std::span<const T> known, const std::string& name, const char* what) {
  std::vector<std::string> names;
  for (const T& one : known) {
    if (name == one.name) return one;
    names.emplace_back(one.name);
  }
  throw_error(ErrorCode::kNotFound, what, "'{}' is not known; known are {}", name,
              fmt::join(names, ", "));
}

}  // namespace

std::span<const Accelerator> accelerators() { return kAccelerators; }
std::span<const ModelShape> model_shapes() { return kModels; }

const Accelerator& find_accelerator(const std::string& name) {
  return find(accelerators(), name, "--accelerator");
}

const ModelShape& find_model_shape(const std::string& name) {
  return find(model_shapes(), name, "--shape");
}

// Products with weights cost their arithmetic or their weights' bytes, whichever is more; attention
// of sequences reads their caches, attention of prompts is arithmetic.
Nanos ServerSpec::step_time(const engine::StepWork& work) const {
  const double flops = accelerator->tflops * 1e12 * kReachedFlops * devices;
  const double bytes = accelerator->gb_per_s * 1e9 * kReachedBytes * devices;
  const double rows = work.prompt_tokens + work.generating;
  const double weights =
      std::max(rows * 2 * model->parameters / flops, kBytes * model->parameters / bytes);
  const double cache = kBytes * static_cast<double>(model->kv_width * model->layers);
  const double reading = static_cast<double>(work.generating_context) * cache / bytes;
  const double pairs = static_cast<double>(work.prompt_context + work.prompt_tokens);
  const double attention = pairs * 4 * static_cast<double>(model->hidden * model->layers) / flops;
  const double exchange = devices > 1 ? kExchange * static_cast<double>(model->layers) : 0;
  return static_cast<Nanos>((kLaunch + exchange + weights + reading + attention) * 1e9);
}

int64_t ServerSpec::kv_tokens() const {
  const double free =
      accelerator->memory_gb * 1e9 * kUsableMemory * devices - kBytes * model->parameters;
  if (free <= 0) {
    throw_error(ErrorCode::kInvalidArgument, "--devices",
                "{} takes {:.0f} GB and {} x {} have {:.0f}; take more devices", model->name,
                kBytes * model->parameters / 1e9, devices, accelerator->name,
                accelerator->memory_gb * devices);
  }
  return static_cast<int64_t>(free /
                              (kBytes * static_cast<double>(model->kv_width * model->layers)));
}

engine::StepResult ServerRunner::run(const engine::StepPlan& plan) {
  const double factor = std::max(1 + jitter_ * random_.normal(), 0.5);
  clock_.advance(static_cast<Nanos>(static_cast<double>(server_.step_time(plan.work)) * factor));
  engine::StepResult result;
  for (const engine::StepSequence& step : plan.sequences) {
    engine::SequenceResult& one = result.sequences.emplace_back();
    if (step.want == engine::Want::kToken) one.sampled.emplace_back();
  }
  return result;
}

}  // namespace hearth::sim
