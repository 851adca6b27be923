// SentencePiece's tokenizer.model, read straight from the protobuf wire format, and turned into the
// pipeline that transformers makes of it.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <tuple>

#include "base/error.h"
#include "tokenizer/load.h"
#include "tokenizer/spm_model.h"

namespace hearth::tokenizer {
namespace {

// One field of a protobuf message.
struct Field {
  uint32_t number = 0;
  uint32_t wire_type = 0;
  uint64_t value = 0;      // varint and fixed fields
  std::string_view bytes;  // length-delimited fields
};

class MessageReader {
 public:
  MessageReader(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    field = {.number = static_cast<uint32_t>(tag >> 3),
             .wire_type = static_cast<uint32_t>(tag & 7)};
    switch (field.wire_type) {
      case 0:
        field.value = varint();
        return true;
      case 1:
        field.value = fixed(8);
        return true;
      case 2:
        field.bytes = take(varint());
        return true;
      case 5:
        field.value = fixed(4);
        return true;
      default:
        throw_error(ErrorCode::kDataLoss, where_, "not a SentencePiece model: wire type {}",
                    field.wire_type);
    }
  }

 private:
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) {
      throw_error(ErrorCode::kDataLoss, where_,
                  "the SentencePiece model is cut short: {} bytes expected, {} left", count,
                  rest_.size());
    }
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }

  uint64_t fixed(size_t count) {
    uint64_t value = 0;
    std::memcpy(&value, take(count).data(), count);
    return value;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    throw_error(ErrorCode::kDataLoss, where_, "not a SentencePiece model: a number is too long");
  }

  std::string_view rest_;
  const std::string& where_;
};

SpmPiece read_piece(std::string_view bytes, const std::string& where) {
  SpmPiece piece;
  MessageReader reader(bytes, where);
  for (Field field; reader.next(field);) {
    if (field.number == 1) piece.text = to_valid_utf8(field.bytes);
    if (field.number == 2) piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    if (field.number == 3) piece.type = static_cast<PieceType>(field.value);
  }
  return piece;
}

void read_trainer(std::string_view bytes, const std::string& where, SpmModel& model) {
  MessageReader reader(bytes, where);
  for (Field field; reader.next(field);) {
    const auto number = static_cast<int64_t>(field.value);
    if (field.number == 3) model.model_type = number;
    if (field.number == 35) model.byte_fallback = number != 0;
    if (field.number == 40) model.unk_id = static_cast<int32_t>(number);
    if (field.number == 41) model.bos_id = static_cast<int32_t>(number);
    if (field.number == 42) model.eos_id = static_cast<int32_t>(number);
    if (field.number == 43) model.pad_id = static_cast<int32_t>(number);
  }
}

void read_normalizer(std::string_view bytes, const std::string& where, SpmModel& model) {
  MessageReader reader(bytes, where);
  for (Field field; reader.next(field);) {
    if (field.number == 2) model.charsmap = field.bytes;
    if (field.number == 3) model.add_dummy_prefix = field.value != 0;
    if (field.number == 4) model.remove_extra_whitespaces = field.value != 0;
  }
}

SpmModel read_model(std::string_view bytes, const std::string& where) {
  SpmModel model;
  MessageReader reader(bytes, where);
  for (Field field; reader.next(field);) {
    if (field.wire_type != 2) continue;
    if (field.number == 1) model.pieces.push_back(read_piece(field.bytes, where));
    if (field.number == 2) read_trainer(field.bytes, where, model);
    if (field.number == 3) read_normalizer(field.bytes, where, model);
  }
  return model;
}

void check_pieces(const SpmModel& model, const std::string& where) {
  for (const SpmPiece& piece : model.pieces) {
    if (std::isnan(piece.score)) {
      throw_error(ErrorCode::kDataLoss, where, "the score of piece '{}' is not a number",
                  piece.text);
    }
  }
  if (model.pieces.empty()) {
    throw_error(ErrorCode::kDataLoss, where, "the SentencePiece model has no pieces");
  }
}

int32_t id_or_none(const SpmModel& model, int64_t id) {
  return id >= 0 && id < static_cast<int64_t>(model.pieces.size()) ? static_cast<int32_t>(id)
                                                                   : kNoToken;
}

// SentencePiece merges whichever neighbours make the best-scored piece; as ranked pairs, these are
// all splits of each piece into two others, best piece first. Splits of one piece are ordered by
// the ids of their parts, as in the tokenizer.json files that transformers made of such models.
MergeList merges_of(const std::vector<SpmPiece>& pieces, const Vocab& vocab) {
  struct Split {
    int32_t piece = 0;
    uint32_t left_bytes = 0;
    int32_t left = kNoToken;
    int32_t right = kNoToken;
  };
  std::vector<Split> splits;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view text = pieces[id].text;
    if (text.empty()) continue;
    for (size_t at = decode_char(text).bytes; at < text.size();
         at += decode_char(text.substr(at)).bytes) {
      const int32_t left = vocab.find(text.substr(0, at));
      const int32_t right = vocab.find(text.substr(at));
      if (left == kNoToken || right == kNoToken) continue;
      splits.push_back({static_cast<int32_t>(id), static_cast<uint32_t>(at), left, right});
    }
  }
  std::sort(splits.begin(), splits.end(), [&](const Split& a, const Split& b) {
    const float score_a = pieces[static_cast<size_t>(a.piece)].score;
    const float score_b = pieces[static_cast<size_t>(b.piece)].score;
    if (score_a != score_b) return score_a > score_b;
    return std::tie(a.piece, a.left, a.right) < std::tie(b.piece, b.left, b.right);
  });
  MergeList merges;
  merges.reserve(splits.size());
  for (const Split& split : splits) {
    const std::string_view text = pieces[static_cast<size_t>(split.piece)].text;
    merges.add(text.substr(0, split.left_bytes), text.substr(split.left_bytes));
  }
  return merges;
}

void describe_bpe(const SpmModel& model, SpmPrefix prefix, TokenizerSpec& spec) {
  BpeSpec bpe{.fuse_unk = true, .byte_fallback = model.byte_fallback};
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    bpe.vocab.add(model.pieces[id].text, static_cast<int32_t>(id));
  }
  bpe.merges = merges_of(model.pieces, bpe.vocab);
  if (spec.unk_id != kNoToken) bpe.unk_token = model.pieces[static_cast<size_t>(spec.unk_id)].text;
  if (prefix == SpmPrefix::kLegacy) {
    if (model.add_dummy_prefix)
      spec.normalizers.emplace_back(norm::Prepend{std::string(kSpaceSymbol)});
    spec.normalizers.emplace_back(
        norm::Replace{{Pattern::Kind::kLiteral, " "}, std::string(kSpaceSymbol)});
  } else {
    spec.pre_tokenizers.push_back(pre::Metaspace{
        .prepend_scheme = model.add_dummy_prefix ? PrependScheme::kFirst : PrependScheme::kNever,
        .split = false});
  }
  spec.model = std::move(bpe);
  if (spec.bos_id != kNoToken) spec.ids_before.push_back(spec.bos_id);
}

void describe_unigram(const SpmModel& model, TokenizerSpec& spec) {
  UnigramSpec unigram{.pieces = {}, .unk_id = {}, .byte_fallback = model.byte_fallback};
  for (const SpmPiece& piece : model.pieces) unigram.pieces.emplace_back(piece.text, piece.score);
  if (spec.unk_id != kNoToken) unigram.unk_id = spec.unk_id;
  if (model.remove_extra_whitespaces) {
    spec.normalizers.emplace_back(norm::Strip{.left = false, .right = true});
    spec.normalizers.emplace_back(
        norm::Replace{{Pattern::Kind::kRegex, " {2,}"}, std::string(kSpaceSymbol)});
  }
  spec.pre_tokenizers.push_back(pre::Metaspace{
      .prepend_scheme = model.add_dummy_prefix ? PrependScheme::kAlways : PrependScheme::kNever});
  spec.model = std::move(unigram);
}

void describe_decoder(const SpmModel& model, TokenizerSpec& spec) {
  spec.decoders = std::vector<DecoderSpec>{
      dec::Replace{{Pattern::Kind::kLiteral, std::string(kSpaceSymbol)}, " "}, dec::ByteFallback{},
      dec::Fuse{}};
  if (model.add_dummy_prefix) {
    spec.decoders->push_back(dec::Strip{.content = " ", .start = 1, .stop = 0});
  }
}

}  // namespace

TokenizerSpec spec_of(const SpmModel& model, SpmPrefix prefix, const std::string& where) {
  check_pieces(model, where);
  TokenizerSpec spec;
  spec.where = where;
  spec.unk_id = id_or_none(model, model.unk_id);
  spec.bos_id = id_or_none(model, model.bos_id);
  spec.eos_id = id_or_none(model, model.eos_id);
  spec.pad_id = id_or_none(model, model.pad_id);
  if (!model.charsmap.empty()) spec.normalizers.emplace_back(norm::Precompiled{model.charsmap});
  if (model.model_type == 2) {
    describe_bpe(model, prefix, spec);
  } else if (model.model_type == 1) {
    describe_unigram(model, spec);
  } else {
    throw_error(ErrorCode::kUnsupported, where,
                "SentencePiece model type {} is not supported; BPE and unigram are",
                model.model_type);
  }
  describe_decoder(model, spec);
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SpmPiece& piece = model.pieces[id];
    const bool special = piece.type == PieceType::kControl || piece.type == PieceType::kUnknown;
    if (!special && piece.type != PieceType::kUserDefined) continue;
    spec.added_tokens.push_back({.id = static_cast<int32_t>(id),
                                 .content = piece.text,
                                 .normalized = false,
                                 .special = special});
  }
  return spec;
}

TokenizerSpec parse_sentencepiece(std::string_view bytes, SpmPrefix prefix,
                                  const std::string& where) {
  return spec_of(read_model(bytes, where), prefix, where);
}

}  // namespace hearth::tokenizer
