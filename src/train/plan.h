// How much memory training takes, and how many machines: arithmetic over the shape of a model.
//
// Everything is bytes of three kinds: those that grow with the parameters (weights, gradients, the
// optimizer's), those that grow with the tokens in flight (activations, logits), and how they are
// divided over devices. docs/tuning.md has the formulae and the published figures they are held to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::train {

enum class MlpKind : uint8_t { kPlain, kGated };

// The shape of a decoder, as far as memory depends on it.
struct PlanModel {
  std::string name;
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocabulary = 0;
  int64_t context = 0;
  MlpKind mlp = MlpKind::kGated;
  bool tied = false;              // the output head is the embedding
  int64_t position_rows = 0;      // of a learned table of positions; 0: rotary
  int64_t stated_parameters = 0;  // counted instead of the shape; 0: the shape counts
};

int64_t parameters_of(const PlanModel& model);

// From a config.json of Hugging Face's form. Throws Error naming `where` and a missing field.
PlanModel plan_model(const io::Json& config, const std::string& name, const std::string& where);
// gpt3-175b and such, for planning without a file; nothing: unknown.
std::optional<PlanModel> known_plan_model(std::string_view name);
std::vector<std::string> known_plan_models();

// Bytes that a trained parameter takes for each purpose.
struct ParameterBytes {
  double weights = 2;  // what products read
  double gradients = 2;
  double master = 4;   // the copy that small steps are added to; 0: the weights themselves
  double moments = 8;  // Adam: mean and square
};
// Mixed precision as in the ZeRO paper: 2 + 2 + 4 + 8.
constexpr ParameterBytes kMixedAdam = {};
// Hearth's trainer: gradients stay f32; in f32 the products read the master itself.
constexpr ParameterBytes kHearthBf16 = {2, 4, 4, 8};
constexpr ParameterBytes kHearthF32 = {0, 4, 4, 8};
// It computes the logits of so many tokens at once.
int64_t hearth_logit_rows(int64_t vocabulary);

// What is kept of the forward pass.
enum class KeptActivations : uint8_t {
  kAll,
  kBlockInputs,  // the rest is computed again, one block at a time
};

struct LoraPlan {
  int64_t rank = 8;
  // Last parts of names: q_proj k_proj v_proj o_proj gate_proj up_proj down_proj.
  std::vector<std::string> targets = {"q_proj", "v_proj"};
  double base_bytes = 2;          // of a frozen parameter: 2 bf16, 1.0625 q8, 0.5625 q4
  double saved_bytes = 2;         // of an adapter's parameter in its file
  int64_t stated_parameters = 0;  // counted instead of rank and targets; 0: these count
  double token_bytes = 0;         // of a token in flight, kept or at work in the adapter
};

int64_t adapter_parameters(const PlanModel& model, const LoraPlan& lora);

// How a run is divided over N devices. ZeRO divides data: each device computes tokens of its own.
enum class Split : uint8_t {
  kZero0,  // nothing but the data is divided
  kZero1,  // optimizer: master and moments
  kZero2,  // and gradients
  kZero3,  // and weights
  kModel,  // everything, activations too (tensor and pipeline parallel)
};
const char* to_string(Split split);

struct PlanRequest {
  PlanModel model;
  std::optional<LoraPlan> lora;  // nothing: every parameter is trained
  ParameterBytes bytes = kMixedAdam;
  KeptActivations kept = KeptActivations::kAll;
  double stream_bytes = 2;      // of an element of the residual stream
  double activation_bytes = 2;  // of the other kept elements
  int64_t tokens = 2048;        // in flight: of a device with ZeRO, of all with kModel
  int64_t logit_rows = 0;       // computed at once; 0: all tokens
};

// Bytes of one copy of the run, undivided.
struct MemoryPieces {
  double weights = 0;
  double gradients = 0;
  double master = 0;
  double moments = 0;
  double activations = 0;
  double logits = 0;

  double states() const { return weights + gradients + master + moments; }
  double total() const { return states() + activations + logits; }
};

struct TrainPlan {
  int64_t parameters = 0;
  int64_t trained = 0;
  MemoryPieces pieces;
  double checkpoint = 0;  // what is kept of the result: weights and master, or the adapter
  double resume = 0;      // what a run needs to go on: the moments too
};

TrainPlan plan_training(const PlanRequest& request);

// What one of `devices` holds.
MemoryPieces on_device(const TrainPlan& plan, Split split, int64_t devices);

struct DeviceCount {
  int64_t least = 0;  // that hold the run
  int64_t whole = 0;  // in whole nodes, where it is more than one
};
// Nothing: no number of devices is enough, because one part is not divided by `split`.
std::optional<DeviceCount> devices_needed(const TrainPlan& plan, Split split, double device_bytes,
                                          int64_t devices_per_node);

// Of one token.
double activation_bytes(const PlanRequest& request);

}  // namespace hearth::train
