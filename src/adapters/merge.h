// An adapter folded into its base: W becomes W + s·B·A, or with DoRA that matrix with its rows
// brought to the trained lengths.
#pragma once

#include <span>
#include <string>

#include "adapters/peft.h"
#include "ops/context.h"

namespace hearth::adapters {

// weight [out, in] f32, changed in place.
void merge_module(const AdapterModule& module, std::span<float> weight, ops::Workers& workers);

// Writes a Hugging Face directory: the weights of `base` with the adapter in them, in the same
// files and types, and the base's config, tokenizer and licence. Throws Error naming a module that
// the base lacks or has in another shape. `out` must not be the base.
void merge_checkpoint(const std::string& base, const Adapter& adapter, const std::string& out,
                      ops::Workers& workers);

}  // namespace hearth::adapters
