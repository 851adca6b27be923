// LoRA adapters in PEFT's form: adapter_config.json beside adapter_model.safetensors with keys such
// as base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight.
//
// An Adapter is plain data that owns its memory; what was read is checked: each module has both
// matrices, of the shapes and rank that the config asks for, and every number is finite.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/config.h"
#include "io/file_source.h"
#include "tensor/tensor.h"

namespace hearth::adapters {

inline constexpr const char* kAdapterConfigFile = "adapter_config.json";
inline constexpr const char* kAdapterWeightsFile = "adapter_model.safetensors";

// What an adapter adds to one projection: y += scale · B·(A·x); with a magnitude (DoRA) the rows of
// W + scale · B·A are brought to that length instead of their own.
struct AdapterModule {
  std::string name;  // as the base calls it: "model.layers.0.self_attn.q_proj"
  int64_t rank = 0;
  float scale = 1;
  Tensor a;          // [rank, in] f32
  Tensor b;          // [out, rank] f32
  Tensor magnitude;  // [out] f32, or empty

  int64_t in() const { return a->cols(); }
  int64_t out() const { return b->rows(); }
};

// The same where it stands in the file, in the file's types and at any alignment.
struct StoredModule {
  std::string name;
  int64_t rank = 0;
  float scale = 1;
  TensorView a;          // [rank, in]
  TensorView b;          // [out, rank]
  TensorView magnitude;  // [out], or empty

  int64_t in() const { return a.cols(); }
  int64_t out() const { return b.rows(); }
};

struct StoredAdapter {
  AdapterConfig config;
  std::vector<StoredModule> modules;  // by name, ascending
};

struct Adapter {
  AdapterConfig config;
  std::vector<AdapterModule> modules;  // by name, ascending

  int64_t parameters() const;
};

// The name of one of a module's tensors in a file: "….lora_A.weight".
std::string tensor_name(const std::string& module, std::string_view part);

// Reads no number yet; `files` stays open as long as the views are used. Throws Error naming the
// file and the field or tensor: kNotFound, kInvalidArgument, kDataLoss, kUnsupported, kTooLarge.
StoredAdapter open_adapter(io::FileSource& files, const AdapterLimits& limits = {});
// Throws Error{kDataLoss} naming a tensor that holds a number that is not finite.
void check_finite(const StoredAdapter& adapter, const std::string& where);

// Throws what the two above throw.
Adapter load_adapter(io::FileSource& files, const AdapterLimits& limits = {});

// Both files into an existing folder, each replaced whole, the weights first. Weights in f32 or
// bf16.
void save_adapter(const std::string& folder, const Adapter& adapter, DType dtype = DType::kF32);

}  // namespace hearth::adapters
