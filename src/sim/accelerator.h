// How long steps take on machines that are not here: a roofline from the figures that their makers
// publish, and what of them a good server reaches.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "engine/cost_model.h"
#include "engine/step_plan.h"

namespace hearth::sim {

// One device, as its data sheet has it.
struct Accelerator {
  const char* name;
  double tflops;    // bf16, dense
  double gb_per_s;  // memory
  double memory_gb;
};

// A model as far as its steps' time depends on it.
struct ModelShape {
  const char* name;
  double parameters;
  int64_t layers;
  int64_t hidden;
  int64_t kv_width;  // elements of keys and values of a token in a layer
};

std::span<const Accelerator> accelerators();
std::span<const ModelShape> model_shapes();
// Throw Error{kNotFound} with the names that are known.
const Accelerator& find_accelerator(const std::string& name);
const ModelShape& find_model_shape(const std::string& name);

// One server: the model in bf16 over `devices`.
struct ServerSpec {
  const Accelerator* accelerator = nullptr;
  const ModelShape* model = nullptr;
  int32_t devices = 1;

  Nanos step_time(const engine::StepWork& work) const;
  // Tokens that the KV cache holds beside the weights.
  int64_t kv_tokens() const;
};

// A runner that computes nothing: each step takes its time on the server, give or take, and each
// sequence gets a token.
class ServerRunner final : public engine::Runner {
 public:
  // `clock` outlives it and is moved by each step. Steps vary by `jitter` (one deviation,
  // relative).
  ServerRunner(const ServerSpec& server, FakeClock& clock, double jitter, uint64_t seed)
      : server_(server), clock_(clock), jitter_(jitter), random_(seed) {}

  engine::StepResult run(const engine::StepPlan& plan) override;

 private:
  const ServerSpec server_;
  FakeClock& clock_;
  const double jitter_;
  Random random_;
};

}  // namespace hearth::sim
