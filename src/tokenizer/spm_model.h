// A SentencePiece vocabulary as the readers of tokenizer.model and of GGUF files give it, before it
// becomes a pipeline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/load.h"

namespace hearth::tokenizer {

enum class PieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct SpmPiece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// The fields of ModelProto that change ids. Defaults are the format's.
struct SpmModel {
  std::vector<SpmPiece> pieces;
  int64_t model_type = 1;  // 1: unigram, 2: BPE
  bool byte_fallback = false;
  int64_t unk_id = 0;
  int64_t bos_id = 1;
  int64_t eos_id = 2;
  int64_t pad_id = -1;
  std::string charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

// The pipeline that transformers makes of it. Throws Error naming the piece that cannot be.
TokenizerSpec spec_of(const SpmModel& model, SpmPrefix prefix, const std::string& where);

}  // namespace hearth::tokenizer
