// The map from a file's tensors to a model's layers: each is asked for by name with the shape that
// config.json implies, and what does not fit is an Error naming file and tensor.
//
// Matrices are views of the file wherever the kernels can read them there; vectors (norms, biases)
// become f32. Blocks of GGUF files are packed for the kernels: without loss where the formats allow
// it, else as q8 (docs/quantisation.md).
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "models/model.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "ops/quantize.h"

namespace hearth::models {

enum class Bias : uint8_t { kNone, kStored };

// How the tensors of a file lie where that is not as transformers saves them.
struct Layout {
  // Projections, by the ends of their names: row i of the layer is row order[i] of the file.
  std::map<std::string, std::vector<int64_t>, std::less<>> row_orders;
  // Norms hold 1 + weight where transformers stores weight.
  bool norms_are_whole = false;
  // Matrices are [out, in], and fused heads apart, in families where transformers has it otherwise.
  bool is_straight = false;
};

class Weights {
 public:
  Weights(io::TensorMap tensors, std::string where, const LoadOptions& options,
          const Progress& progress, Layout layout = {});

  // Finds what stands before the names of this file: the first prefix under which `anchor` exists.
  // All later names are relative to it.
  void find_root(const std::string& anchor, std::initializer_list<const char*> prefixes);
  bool has(const std::string& name) const;

  // Stored as [out, in].
  nn::Linear linear(Part part, const std::string& name, int64_t out, int64_t in, Bias bias);
  // Stored as [in, out] with a bias (GPT-2's Conv1D); transposed here.
  nn::Linear conv1d(Part part, const std::string& name, int64_t out, int64_t in);
  // Stored as [out, in]; row i of the result is row order[i] of the file, biases too.
  nn::Linear linear_in_order(Part part, const std::string& name, std::span<const int64_t> order,
                             int64_t in, Bias bias);
  // Says that the outputs of a projection are those of several side by side: {"q_proj", 64}, ...
  struct FusedPart {
    const char* name = nullptr;
    int64_t outs = 0;
  };
  void name_parts(const nn::Linear& linear, std::initializer_list<FusedPart> parts);
  ops::Weight table(const std::string& name, int64_t rows, int64_t cols);
  // The matrix (and bias) of the head; its name is whole, not relative to the root.
  nn::Linear head(const std::string& name, int64_t out, int64_t in, Bias bias);
  // The head of a model that ties it to `table`, where it is not the table itself: quantised.
  std::optional<nn::Linear> tied_head(const ops::Weight& table);
  nn::RmsNorm rms_norm(const std::string& name, int64_t n, float epsilon, float offset = 0);
  nn::LayerNorm layer_norm(const std::string& name, int64_t n, float epsilon);

  // Tensors of this model that nothing asked for: a sign that config.json leaves something out.
  // Buffers that older files store beside their weights are not among them.
  std::vector<std::string> left_over() const;
  // Tells the progress that nothing is left to come.
  void finish();

  // What was taken, for Model. The types are those of most weights; blocks count as bf16.
  std::vector<Parameter> parameters;
  std::vector<nn::Projection> projections;
  std::vector<PackedWeight> packed;
  DType main_dtype() const;
  std::string main_type() const;

 private:
  struct Found {
    std::string name;
    DType dtype = DType::kF32;               // where it is not in blocks
    std::optional<ops::BlockFormat> blocks;  // of a GGUF file
    const io::StoredTensor* stored = nullptr;
  };
  using Order = std::span<const int64_t>;
  Found find(const std::string& name, std::initializer_list<int64_t> shape) const;
  void taken(const Found& found, Part part, int64_t bytes);
  void taken(Parameter parameter, int64_t stored_bytes);
  // The matrix with its rows in this order (empty: as they lie), as the rule for its part wants it
  // (models::Quantize).
  ops::Weight matrix(Part part, const std::string& name, int64_t out, int64_t in, Order order);
  ops::Weight made(Part part, const Found& found, ops::Weight weight);
  // The weight as somebody packed it before.
  std::optional<ops::Weight> packed_before(Part part, const std::string& name, int64_t out,
                                           int64_t in);
  ops::Weight as_stored(const Found& found, int64_t out, int64_t in, Order order) const;
  ops::Weight of_blocks(Part part, const Found& found, int64_t out, int64_t in, Order order) const;
  ops::Weight quantized(Part part, const std::string& name, ops::Weight weight) const;
  ops::Weight quantized(const ops::RowSource& rows, ops::WeightFormat format,
                        const std::string& name) const;
  nn::Linear projection(Part part, const std::string& name, int64_t out, int64_t in, Bias bias,
                        Order order);
  Order order_of(const std::string& name) const;
  Tensor vector(Part part, const std::string& name, int64_t n);
  Tensor vector(Part part, const std::string& name, int64_t n, Order order);
  int32_t add_projection(const std::string& name, const nn::Linear& linear);

  io::TensorMap tensors_;
  std::string where_;
  std::string root_;
  std::set<std::string> taken_;
  LoadOptions options_;
  Layout layout_;
  const Progress& progress_;
  int64_t total_ = 0;
  int64_t done_ = 0;
};

}  // namespace hearth::models
