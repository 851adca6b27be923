// The parameters of a model in training: f32 master weights and gradients in two flat buffers, and
// a copy in the compute type that the products read.
//
// Flat buffers make the optimizer, the norm of all gradients, checkpoints and the sharding of all
// of them over ranks loops over ranges. Offsets are multiples of kAlignElements.
//
// Where several ranks train, the master weights of matrices are kept by their owners alone: a model
// computes with compute(), and reads master() of embeddings and vectors only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "ops/train_context.h"

namespace hearth::train {

constexpr int64_t kAlignElements = 32;  // 64 bytes of bf16

// How the optimizer treats a parameter.
enum class ParameterKind : uint8_t {
  kMatrix,     // weights of a hidden layer: decay; Muon where chosen
  kEmbedding,  // look-up tables and the output head: decay, never Muon
  kVector,     // norms and biases: no decay
};

// How a Hugging Face file stores the rows of a piece.
enum class PieceLayout : uint8_t {
  kRows,        // as they are here: [rows, cols]
  kTransposed,  // [cols, rows] (GPT-2's Conv1D)
  // [heads, 3, rows / heads / 3]: q, k and v of head 0, then of head 1 (GPT-NeoX); here all of q,
  // then k, then v.
  kHeadByHead,
};

// A range of a parameter's rows with the name it has in a Hugging Face file. Fused matrices have
// several.
struct ParameterPiece {
  std::string name;
  int64_t row_begin = 0;
  int64_t rows = 0;
  PieceLayout layout = PieceLayout::kRows;
  int64_t heads = 0;  // of kHeadByHead
};

struct Parameter {
  ParameterKind kind = ParameterKind::kMatrix;
  int64_t rows = 0;
  int64_t cols = 0;  // 1 for a bias
  // First values: a normal distribution; without deviation all are the mean (1 of a norm, 0 of a
  // bias).
  float initial_mean = 0.0f;
  float initial_deviation = 0.0f;
  std::vector<ParameterPiece> pieces;
  int64_t offset = 0;  // elements from the start of the flat buffers
  int64_t count() const { return rows * cols; }
};

class Parameters {
 public:
  explicit Parameters(DType compute);

  // Adds a parameter; the index names it from then on. Before allocate().
  size_t add(Parameter parameter);
  void allocate();
  // Master weights from their distributions; the same seed gives the same weights.
  void initialise(Random& random);
  // Refreshes the compute copies after the master weights changed; of elements [begin, end),
  // multiples of kAlignElements, only.
  void refresh(ops::TrainContext& ctx);
  void refresh(ops::TrainContext& ctx, int64_t begin, int64_t end);
  void clear_gradients();
  // Elements [begin, end) become zero, and their memory goes back until it is written again.
  void release_gradients(int64_t begin, int64_t end);
  void release_master(int64_t begin, int64_t end);

  std::span<const Parameter> list() const { return list_; }
  TensorView master(size_t index) const { return view(master_, index); }
  TensorView gradient(size_t index) const { return view(gradient_, index); }
  // What products read: the bf16 copy, or the master weights themselves in f32.
  TensorView compute(size_t index) const;
  TensorView vector(size_t index) const;           // master of a kVector as [n]
  TensorView vector_gradient(size_t index) const;  // its gradient as [n]

  // All elements, padding included (which stays zero).
  TensorView flat_master() const { return master_; }
  TensorView flat_gradient() const { return gradient_; }
  TensorView flat_copy() const { return copy_; }  // empty where products read the master weights
  int64_t count() const;                          // without padding
  bool finite() const;                            // every master weight is a number
  DType compute_type() const { return compute_type_; }

 private:
  TensorView view(const TensorView& flat, size_t index) const;

  DType compute_type_;
  std::vector<Parameter> list_;
  int64_t size_ = 0;
  Tensor master_;
  Tensor gradient_;
  Tensor copy_;
};

}  // namespace hearth::train
