// A tokenizer and chat template as the metadata of a GGUF file.
#pragma once

#include <span>

#include "io/file_source.h"
#include "io/gguf_writer.h"

namespace hearth::tokenizer {

// `rows`: how many tokens the model's table has; ids without a token are filled up. `ends`: the
// model's own end tokens. Throws Error naming what llama.cpp's tokenizers cannot do.
void export_gguf_tokenizer(io::FileSource& files, int64_t rows, std::span<const int32_t> ends,
                           io::GgufWriter& writer);

}  // namespace hearth::tokenizer
