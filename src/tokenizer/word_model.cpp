#include "tokenizer/word_model.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

int32_t require_unk(const Vocab& vocab, const std::string& unk_token, const std::string& where) {
  const int32_t id = vocab.find(unk_token);
  if (id == kNoToken) {
    throw_error(ErrorCode::kInvalidArgument, where, "unk_token '{}' is not in model.vocab",
                unk_token);
  }
  return id;
}

}  // namespace

WordPiece::WordPiece(WordPieceSpec spec, const std::string& where) : spec_(std::move(spec)) {
  unk_id_ = require_unk(spec_.vocab, spec_.unk_token, where);
  for (int32_t id = 0; id < spec_.vocab.size(); ++id) {
    piece_bytes_max_ = std::max(piece_bytes_max_, spec_.vocab.text(id).size());
  }
}

void WordPiece::encode(std::string_view word, std::vector<int32_t>& out) const {
  const auto chars =
      std::count_if(word.begin(), word.end(), [](char c) { return !is_continuation(c); });
  if (chars > spec_.max_input_chars_per_word) {
    out.push_back(unk_id_);
    return;
  }
  const size_t before = out.size();
  std::string candidate;
  for (size_t begin = 0; begin < word.size();) {
    int32_t found = kNoToken;
    size_t end = word.size();
    while (end > begin) {
      candidate = begin > 0 ? spec_.continuing_subword_prefix : "";
      candidate += word.substr(begin, end - begin);
      if (candidate.size() <= piece_bytes_max_) found = spec_.vocab.find(candidate);
      if (found != kNoToken) break;
      end = begin + last_char_start(word.substr(begin, end - begin));
    }
    if (found == kNoToken) {  // one bad part spoils the word
      out.resize(before);
      out.push_back(unk_id_);
      return;
    }
    out.push_back(found);
    begin = end;
  }
}

WordLevel::WordLevel(WordLevelSpec spec, const std::string& where) : spec_(std::move(spec)) {
  unk_id_ = require_unk(spec_.vocab, spec_.unk_token, where);
}

void WordLevel::encode(std::string_view word, std::vector<int32_t>& out) const {
  const int32_t id = spec_.vocab.find(word);
  out.push_back(id == kNoToken ? unk_id_ : id);
}

}  // namespace hearth::tokenizer
