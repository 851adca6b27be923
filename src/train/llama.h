// The Llama family in training: RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied or
// own output head.
#pragma once

#include <memory>
#include <string>

#include "train/model.h"

namespace hearth::train {

std::unique_ptr<Model> make_llama(const io::Json& config, DType compute, Recompute recompute,
                                  const std::string& where);

}  // namespace hearth::train
