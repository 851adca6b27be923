#include "train/plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "io/json.h"

namespace hearth::train {
namespace {

// The linear layers of a block by the names that the Llama family gives them.
struct Matrix {
  const char* name;
  int64_t out;
  int64_t in;
};

std::vector<Matrix> matrices_of(const PlanModel& m) {
  const int64_t q = m.heads * m.head_dim;
  const int64_t kv = m.kv_heads * m.head_dim;
  std::vector<Matrix> list = {{"q_proj", q, m.hidden},
                              {"k_proj", kv, m.hidden},
                              {"v_proj", kv, m.hidden},
                              {"o_proj", m.hidden, q},
                              {"up_proj", m.intermediate, m.hidden},
                              {"down_proj", m.hidden, m.intermediate}};
  if (m.mlp == MlpKind::kGated) list.push_back({"gate_proj", m.intermediate, m.hidden});
  return list;
}

// A field that different families call differently; the first that is there counts.
int64_t integer(const io::Json& config, std::initializer_list<const char*> names, int64_t otherwise,
                const std::string& where) {
  for (const char* name : names) {
    const auto value = io::json_get<int64_t>(config, name, -1, where);
    if (value >= 0) return value;
  }
  if (otherwise < 0) {
    throw_error(ErrorCode::kInvalidArgument, where, "field '{}' is missing", *names.begin());
  }
  return otherwise;
}

PlanModel gpt3() {
  return {.name = "gpt3-175b",
          .layers = 96,
          .hidden = 12288,
          .intermediate = 4 * 12288,
          .heads = 96,
          .kv_heads = 96,
          .head_dim = 128,
          .vocabulary = 50257,
          .context = 2048,
          .mlp = MlpKind::kPlain,
          .tied = true,
          .position_rows = 2048};
}

PlanModel llama(std::string name, int64_t layers, int64_t hidden, int64_t intermediate,
                int64_t heads, int64_t kv_heads, int64_t vocabulary) {
  return {.name = std::move(name),
          .layers = layers,
          .hidden = hidden,
          .intermediate = intermediate,
          .heads = heads,
          .kv_heads = kv_heads,
          .head_dim = hidden / heads,
          .vocabulary = vocabulary,
          .context = 4096};
}

std::vector<PlanModel> known_models() {
  return {gpt3(), llama("llama2-7b", 32, 4096, 11008, 32, 32, 32000),
          llama("llama2-70b", 80, 8192, 28672, 64, 8, 32000),
          llama("llama3-8b", 32, 4096, 14336, 32, 8, 128256)};
}

// Which pieces a way of dividing spreads over the devices.
struct Spread {
  bool optimizer, gradients, weights, activations;
};

Spread spread_of(Split split) {
  switch (split) {
    case Split::kZero0:
      return {false, false, false, false};
    case Split::kZero1:
      return {true, false, false, false};
    case Split::kZero2:
      return {true, true, false, false};
    case Split::kZero3:
      return {true, true, true, false};
    case Split::kModel:
      return {true, true, true, true};
  }
  return {};
}

}  // namespace

const char* to_string(Split split) {
  switch (split) {
    case Split::kZero0:
      return "ZeRO-0";
    case Split::kZero1:
      return "ZeRO-1";
    case Split::kZero2:
      return "ZeRO-2";
    case Split::kZero3:
      return "ZeRO-3";
    case Split::kModel:
      return "model";
  }
  return "?";
}

int64_t parameters_of(const PlanModel& m) {
  if (m.stated_parameters > 0) return m.stated_parameters;
  int64_t block = 2 * m.hidden;  // two norms
  for (const Matrix& matrix : matrices_of(m)) block += matrix.out * matrix.in;
  const int64_t tables = (m.tied ? 1 : 2) * m.vocabulary + m.position_rows;
  return m.layers * block + (tables + 1) * m.hidden;
}

int64_t hearth_logit_rows(int64_t vocabulary) {
  constexpr int64_t kElements = int64_t{4} << 20;
  return std::max<int64_t>(64, kElements / std::max<int64_t>(1, vocabulary));
}

PlanModel plan_model(const io::Json& config, const std::string& name, const std::string& where) {
  const auto nested = config.find("text_config");
  if (nested != config.end() && nested->is_object()) return plan_model(*nested, name, where);
  const auto type = io::json_get<std::string>(config, "model_type", "", where);
  PlanModel m;
  m.name = name;
  m.layers = integer(config, {"num_hidden_layers", "n_layer"}, -1, where);
  m.hidden = integer(config, {"hidden_size", "n_embd"}, -1, where);
  m.intermediate = integer(config, {"intermediate_size", "n_inner"}, 4 * m.hidden, where);
  m.heads = integer(config, {"num_attention_heads", "n_head"}, -1, where);
  m.kv_heads = integer(config, {"num_key_value_heads"}, m.heads, where);
  m.vocabulary = integer(config, {"vocab_size"}, -1, where);
  m.context = integer(config, {"max_position_embeddings", "n_positions"}, 2048, where);
  if (m.layers < 1 || m.hidden < 1 || m.heads < 1) {
    throw_error(ErrorCode::kInvalidArgument, where, "layers, width and heads must be above 0");
  }
  m.head_dim = integer(config, {"head_dim"}, m.hidden / m.heads, where);
  const bool plain = type == "gpt2" || type == "gpt_neox" || type == "phi";
  m.mlp = plain ? MlpKind::kPlain : MlpKind::kGated;
  m.tied = io::json_get(config, "tie_word_embeddings", type == "gpt2" || type.starts_with("gemma"),
                        where);
  m.position_rows = type == "gpt2" ? m.context : 0;
  return m;
}

std::optional<PlanModel> known_plan_model(std::string_view name) {
  for (PlanModel& model : known_models()) {
    if (model.name == name) return std::move(model);
  }
  return std::nullopt;
}

std::vector<std::string> known_plan_models() {
  std::vector<std::string> names;
  for (PlanModel& model : known_models()) names.push_back(std::move(model.name));
  return names;
}

int64_t adapter_parameters(const PlanModel& model, const LoraPlan& lora) {
  if (lora.stated_parameters > 0) return lora.stated_parameters;
  int64_t sum = 0;
  for (const Matrix& matrix : matrices_of(model)) {
    const bool chosen =
        std::find(lora.targets.begin(), lora.targets.end(), matrix.name) != lora.targets.end();
    if (chosen) sum += lora.rank * (matrix.in + matrix.out);
  }
  return sum * model.layers;
}

namespace {

// What attention and the MLP of one block keep of a token, in elements of the compute type: both
// norms' results, q k v, attention's result, the MLP's inner values.
double kept_elements(const PlanModel& m) {
  const int64_t q = m.heads * m.head_dim;
  const int64_t kv = m.kv_heads * m.head_dim;
  const int64_t inner = (m.mlp == MlpKind::kGated ? 3 : 2) * m.intermediate;
  return static_cast<double>(2 * m.hidden + (q + 2 * kv) + q + inner);
}

// The gradients at work in the backward pass: two of the stream, those of q k v and of the widest
// inner values.
double working_bytes(const PlanRequest& request) {
  const PlanModel& m = request.model;
  const int64_t q = m.heads * m.head_dim;
  const int64_t inner = m.hidden + q + 2 * m.kv_heads * m.head_dim + std::max(m.intermediate, q);
  return 2 * request.stream_bytes * static_cast<double>(m.hidden) +
         request.activation_bytes * static_cast<double>(inner);
}

}  // namespace

double activation_bytes(const PlanRequest& request) {
  const PlanModel& m = request.model;
  const auto layers = static_cast<double>(m.layers);
  const double stream = request.stream_bytes * static_cast<double>(m.hidden);
  // A block's input, and the stream between its halves.
  const double block = stream + request.activation_bytes * kept_elements(m);
  const bool all = request.kept == KeptActivations::kAll;
  return layers * stream + (all ? layers : 1) * block + working_bytes(request);
}

TrainPlan plan_training(const PlanRequest& request) {
  const PlanModel& model = request.model;
  TrainPlan plan;
  plan.parameters = parameters_of(model);
  plan.trained = request.lora ? adapter_parameters(model, *request.lora) : plan.parameters;
  const auto trained = static_cast<double>(plan.trained);
  const ParameterBytes& bytes = request.bytes;
  MemoryPieces& p = plan.pieces;
  p.weights = trained * bytes.weights;
  p.gradients = trained * bytes.gradients;
  p.master = trained * bytes.master;
  p.moments = trained * bytes.moments;
  p.activations = static_cast<double>(request.tokens) * activation_bytes(request);
  const int64_t rows =
      request.logit_rows > 0 ? std::min(request.logit_rows, request.tokens) : request.tokens;
  // Logits in f32 and their gradient.
  p.logits = static_cast<double>(rows * model.vocabulary) * (4 + request.activation_bytes);
  if (request.lora) {
    p.weights += static_cast<double>(plan.parameters) * request.lora->base_bytes;
    p.activations += static_cast<double>(request.tokens) * request.lora->token_bytes;
    plan.checkpoint = trained * request.lora->saved_bytes;
    plan.resume = trained * (bytes.weights + bytes.master + bytes.moments);
  } else {
    plan.checkpoint = trained * (bytes.weights + bytes.master);
    plan.resume = plan.checkpoint + p.moments;
  }
  return plan;
}

MemoryPieces on_device(const TrainPlan& plan, Split split, int64_t devices) {
  CHECK(devices > 0, "{} devices", devices);
  const Spread spread = spread_of(split);
  const auto n = static_cast<double>(devices);
  const auto part = [&](double bytes, bool divided) { return divided ? bytes / n : bytes; };
  MemoryPieces p = plan.pieces;
  p.weights = part(p.weights, spread.weights);
  p.gradients = part(p.gradients, spread.gradients);
  p.master = part(p.master, spread.optimizer);
  p.moments = part(p.moments, spread.optimizer);
  p.activations = part(p.activations, spread.activations);
  p.logits = part(p.logits, spread.activations);
  return p;
}

std::optional<DeviceCount> devices_needed(const TrainPlan& plan, Split split, double device_bytes,
                                          int64_t devices_per_node) {
  const double all = plan.pieces.total();
  if (all <= device_bytes) return DeviceCount{1, 1};
  // A device of N holds fixed + divided / N.
  const double divided = 2 * (all - on_device(plan, split, 2).total());
  const double room = device_bytes - (all - divided);
  if (room <= 0 || divided <= 0) return std::nullopt;
  DeviceCount count;
  count.least = static_cast<int64_t>(std::ceil(divided / room));
  const int64_t node = std::max<int64_t>(1, devices_per_node);
  count.whole = count.least <= node ? count.least : (count.least + node - 1) / node * node;
  return count;
}

}  // namespace hearth::train
