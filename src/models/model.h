// A language model as the runner, inspect and the adapters see it.
//
// A Model is immutable after loading and may be used by several threads, each with its own Pass.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/file_source.h"
#include "nn/linear.h"
#include "nn/pass.h"
#include "nn/projection.h"
#include "ops/quantize.h"
#include "ops/weight.h"

namespace hearth::models {

// Where the bytes of a model go; for inspect.
enum class Part : uint8_t { kEmbedding, kAttention, kMlp, kNorm, kHead };

const char* to_string(Part part);

struct Parameter {
  std::string name;  // as the file calls it
  Part part = Part::kMlp;
  DType dtype = DType::kF32;  // blocks of GGUF files count as bf16
  std::string stored;         // the type as the file calls it: "BF16", "Q4_K"
  std::vector<int64_t> shape;
  int64_t count = 0;
  int64_t bytes = 0;  // as held in memory
};

// The sampling that the authors recommend (generation_config.json); absent: not stated.
struct GenerationDefaults {
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
};

// Weights that are quantised while they are loaded (ops/quantize.h). One rule for all families:
//
//   projections (attention, MLP)   the format asked for
//   head                           q8 always: every token's choice depends on it. A tied one is a
//                                  copy, 8.5 bits a weight
//   embedding tables               as stored: a step reads a row a token, so they cost no time
//   norms, biases                  f32 always
enum class Quantize : uint8_t { kNone, kQ8, kQ4 };

// A weight that was packed for the kernels: a view.
struct PackedWeight {
  std::string name;  // as the file calls it
  ops::Weight weight;
};
// ... of the head that is a packed copy of the embedding table.
inline constexpr const char* kTiedHead = "(head, tied to the embedding)";

const char* to_string(Quantize quantize);

struct ModelInfo {
  std::string architecture;   // "LlamaForCausalLM"
  std::string model_type;     // "llama"
  std::string rope = "none";  // the scaling rule in use
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t intermediate = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocabulary = 0;
  std::vector<int32_t> windows;  // [layers] sliding window of each layer; 0: sees everything
  int32_t max_model_len = 0;     // the longest text this instance serves
  int32_t max_len_possible = 0;  // the longest that LoadOptions::max_model_len may ask for
  DType dtype = DType::kF32;     // of most weights, in the file; blocks count as bf16
  std::string stored;            // the same, as the file calls it: "BF16", "Q4_K"
  Quantize quantize = Quantize::kNone;
  std::optional<int32_t> bos;
  std::vector<int32_t> eos;  // any of them ends a text
  GenerationDefaults defaults;

  // Bytes that one token takes in the cache.
  int64_t kv_bytes_per_token(DType kv_dtype) const {
    return 2 * layers * ops::kv_bytes(kv_dtype, 1, kv_heads, head_dim) / ops::kKvBlockTokens;
  }
};

class Weights;
class PackedFile;

class Model {
 public:
  virtual ~Model() = default;

  // The hidden states after the last norm, [rows, hidden], in the pass's arena. The keys and values
  // of the rows are in pass.kv afterwards.
  virtual TensorView forward(nn::Pass& pass) const = 0;
  // hidden [rows, hidden] -> [rows, vocabulary], in the context's arena.
  TensorView logits(ops::Context& ctx, TensorView hidden) const {
    return head.forward(ctx, hidden);
  }

  ModelInfo info;
  std::vector<Parameter> parameters;
  std::vector<nn::Projection> projections;  // by Linear::slot
  std::vector<PackedWeight> packed;         // those that loading packed: what a cache keeps

  const ops::Weight& head_weight() const { return *head.weight; }

 protected:
  // The head reads the embedding table (quantised: a copy of it), or a matrix of its own.
  void tie_head(Weights& weights);
  void own_head(nn::Linear linear);

  nn::Embedding embedding;
  nn::LmHead head;

 private:
  nn::Linear own_head_;
};

struct LoadOptions {
  // The longest text to serve; 0: the length up to which the model needs no stretching of its
  // positions. A larger one settles dynamic and longrope scaling for it (docs/models.md).
  int32_t max_model_len = 0;
  // How bf16 products are computed.
  ops::ComputeType compute = ops::ComputeType::kAuto;
  Quantize quantize = Quantize::kNone;
  // Threads that quantise, the caller's included. The result does not depend on their number.
  int threads = 1;
  // ... and how; a backend has faster ones that give the same bits.
  const ops::QuantizeKernels* kernels = &ops::kQuantizePlain;
  // Weights of just this model that are packed already; its file outlives the model. Null: none.
  const PackedFile* packed = nullptr;
};

// Bytes of weights that are ready, of all; called on the loading thread.
using Progress = std::function<void(int64_t done, int64_t total)>;

// Loads config.json, generation_config.json and the weights (those of `hearth quantize` too), or a
// GGUF file (io::kGgufFile).
// `files` stays open as long as the model. Throws Error naming the file, field or tensor: an
// unknown architecture, a missing or misshapen tensor, a truncated file.
std::unique_ptr<Model> load(io::FileSource& files, const LoadOptions& options = {},
                            const Progress& progress = {});

}  // namespace hearth::models
