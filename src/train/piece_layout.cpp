#include "train/piece_layout.h"

namespace hearth::train {
namespace {

// The element of a file's piece that is element (row, col) of ours.
int64_t file_element(const Parameter& parameter, const ParameterPiece& piece, int64_t row,
                     int64_t col) {
  if (piece.layout == PieceLayout::kTransposed) return col * piece.rows + row;
  return file_row(piece, row) * parameter.cols + col;
}

}  // namespace

std::vector<int64_t> file_shape(const Parameter& parameter, const ParameterPiece& piece) {
  if (parameter.kind == ParameterKind::kVector) return {piece.rows * parameter.cols};
  if (piece.layout == PieceLayout::kTransposed) return {parameter.cols, piece.rows};
  return {piece.rows, parameter.cols};
}

int64_t file_row(const ParameterPiece& piece, int64_t row) {
  if (piece.layout != PieceLayout::kHeadByHead) return row;
  const int64_t head_dim = piece.rows / 3 / piece.heads;
  const int64_t part = row / (piece.heads * head_dim);  // q, k or v
  const int64_t head = row / head_dim % piece.heads;
  return (head * 3 + part) * head_dim + row % head_dim;
}

void from_file_order(const Parameter& parameter, const ParameterPiece& piece, const float* file,
                     float* out) {
  for (int64_t row = 0; row < piece.rows; ++row) {
    for (int64_t col = 0; col < parameter.cols; ++col) {
      out[row * parameter.cols + col] = file[file_element(parameter, piece, row, col)];
    }
  }
}

std::vector<float> in_file_order(const Parameter& parameter, const ParameterPiece& piece,
                                 const float* values) {
  std::vector<float> file(static_cast<size_t>(piece.rows * parameter.cols));
  for (int64_t row = 0; row < piece.rows; ++row) {
    for (int64_t col = 0; col < parameter.cols; ++col) {
      file[static_cast<size_t>(file_element(parameter, piece, row, col))] =
          values[row * parameter.cols + col];
    }
  }
  return file;
}

}  // namespace hearth::train
