// Between the order of elements in a Hugging Face file and ours.
#pragma once

#include <vector>

#include "train/parameters.h"

namespace hearth::train {

// The shape of a piece in a file.
std::vector<int64_t> file_shape(const Parameter& parameter, const ParameterPiece& piece);

// The row of a file that holds row `row` of the piece (not of kTransposed).
int64_t file_row(const ParameterPiece& piece, int64_t row);

// file and the result [rows, cols] of the piece, in their own order.
void from_file_order(const Parameter& parameter, const ParameterPiece& piece, const float* file,
                     float* out);
std::vector<float> in_file_order(const Parameter& parameter, const ParameterPiece& piece,
                                 const float* values);

}  // namespace hearth::train
