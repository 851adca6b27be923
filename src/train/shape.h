// A decoder as data: what each layer computes, and under which names a Hugging Face file keeps its
// weights. A family (families.h) writes it from a config.json; the decoder (decoder.h) follows it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/elementwise.h"
#include "ops/head_norm_backward.h"
#include "train/parameters.h"

namespace hearth::train {

struct NormShape {
  std::string name;  // of the module: "model.norm"
  ops::NormKind kind = ops::NormKind::kRms;
  int64_t n = 0;
  float epsilon = 1e-6f;
  float offset = 0.0f;  // 1 where the file stores weight - 1 (Gemma)
};

// One module of the file: its rows of a projection.
struct PieceShape {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t rows = 0;
  PieceLayout layout = PieceLayout::kRows;
  int64_t heads = 0;  // of PieceLayout::kHeadByHead
};

enum class Bias : uint8_t { kNone, kStored };

// y = x Wᵀ + b. Its pieces lie side by side in y.
struct LinearShape {
  std::vector<PieceShape> pieces;
  int64_t in = 0;
  Bias bias = Bias::kNone;
  // A matrix that ends a branch starts smaller, so that the residual stream's size does not grow
  // with depth (GPT-2).
  enum class Place : uint8_t { kInside, kEndsBranch } place = Place::kInside;

  int64_t out() const {
    int64_t sum = 0;
    for (const PieceShape& piece : pieces) sum += piece.rows;
    return sum;
  }
};

constexpr int32_t kNoRope = -1;

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  float scale = 1.0f;                       // on q·k
  int32_t window = 0;                       // a token sees itself and window - 1 before it; 0: all
  float softcap = 0.0f;                     // of scores; 0: off
  int32_t rope = kNoRope;                   // which of DecoderShape::ropes
  NormShape before;                         // over the block's input
  std::optional<NormShape> q_norm, k_norm;  // over each head
  LinearShape qkv;                          // all of q, then k, then v
  LinearShape out;
  std::optional<NormShape> after;  // over what the branch adds (Gemma 2, 3)
};

struct MlpShape {
  enum class Gate : uint8_t { kPlain, kGated } gate = Gate::kGated;
  ops::Activation activation = ops::Activation::kSilu;
  int64_t intermediate = 0;
  std::optional<NormShape> before;  // absent: attention's norm feeds both branches (Phi)
  LinearShape in;                   // gated: gate, then up
  LinearShape out;
  std::optional<NormShape> after;
};

enum class Residual : uint8_t {
  kSerial,    // the MLP sees the stream after attention
  kParallel,  // both see the block's input
};

struct LayerShape {
  Residual residual = Residual::kSerial;
  AttentionShape attention;
  MlpShape mlp;
};

// cos and sin of position * inverse_frequency, times scale.
struct RopeShape {
  std::vector<double> inverse_frequency;  // [turning elements / 2]
  float scale = 1.0f;
};

struct DecoderShape {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t context = 0;    // the longest document
  std::string embedding;  // name of the table
  float embedding_factor = 1.0f;
  std::string positions;  // name of the table of learned positions; empty: none
  std::vector<RopeShape> ropes;
  std::vector<LayerShape> layers;
  NormShape norm;                   // the last
  std::optional<LinearShape> head;  // absent: the embedding table is the head
  float logit_softcap = 0.0f;       // 0: off
  float initializer_range = 0.02f;  // deviation of the first weights
};

}  // namespace hearth::train
