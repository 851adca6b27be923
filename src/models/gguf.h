// GGUF files as what they were converted from: a config.json and tensors by Hugging Face's names.
//
// One table a family says how names, keys and the order of rows differ; the readers and the writer
// (models/gguf_export.h) both go by it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "io/gguf.h"
#include "io/json_fwd.h"
#include "models/weights.h"

namespace hearth::models {

// How a family's matrices lie in a GGUF file, where that is not how transformers lays them.
enum class GgufRows : uint8_t {
  kSame,
  kRotaryPairs,  // Llama: rows of q and k, turned in pairs (2i, 2i + 1) instead of in halves
  kStraight,     // GPT-2, GPT-NeoX: [out, in], and all of q before k before v
};
enum class GgufNorms : uint8_t {
  kSame,
  kWhole,  // Gemma: 1 + weight
};

struct GgufName {
  const char* gguf;  // below "blk.N." for names of layers
  const char* hf;    // below the prefix of the layer
};

struct GgufFamily {
  const char* arch;          // general.architecture
  const char* model_type;    // config.json's
  const char* architecture;  // ... and its class
  GgufRows rows;
  GgufNorms norms;
  const char* layer;                  // what Hugging Face puts before a layer's number
  std::span<const GgufName> whole;    // of the model
  std::span<const GgufName> layered;  // of each layer
};

std::span<const GgufFamily> gguf_families();
// Throws Error{kUnsupported} listing the known ones.
const GgufFamily& gguf_family(const std::string& arch, const std::string& where);

// query_pre_attn_scalar as the format takes it for granted: the 27 B models of both generations
// divide their hidden size by the heads, all others have head_dim.
double gemma_scalar_of_format(const std::string& arch, const ModelInfo& info);

// order[i]: the row of the file that is row i of transformers' q or k, heads of head_dim rows.
std::vector<int64_t> rotary_pair_order(int64_t heads, int64_t head_dim);

// Everything of a GGUF file that loading a model needs. Views point into `files`.
struct GgufModel {
  std::shared_ptr<const io::Json> config;
  io::TensorMap tensors;
  Layout layout;
};
// Throws Error naming the key or tensor.
GgufModel read_gguf(io::FileSource& files);

}  // namespace hearth::models
