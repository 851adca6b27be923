// What a tokenizer is made of, as plain data: the seam between the readers of files
// (tokenizer.json, SentencePiece models, vocab.json + merges.txt, GGUF) and the Tokenizer that runs
// it.
//
// The parts and their fields are those of Hugging Face's tokenizer.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/unicode.h"
#include "tokenizer/vocab.h"

namespace hearth::tokenizer {

constexpr std::string_view kSpaceSymbol =
    "\xE2\x96\x81";  // U+2581, for a space in SentencePiece's tokens

// A literal string or a regular expression.
struct Pattern {
  enum class Kind { kLiteral, kRegex };
  Kind kind = Kind::kLiteral;
  std::string text;
};

// ---- normalizers: applied in order to the text between added tokens ----
namespace norm {
struct Unicode {
  NormalForm form = NormalForm::kNfc;
};
struct Lowercase {};
struct Strip {
  bool left = true;
  bool right = true;
};
struct StripAccents {};
struct Replace {
  Pattern pattern;
  std::string content;
};
struct Prepend {
  std::string prepend;
};
struct Precompiled {
  std::string charsmap;  // SentencePiece's blob: a double-array trie and its replacements
};
struct Bert {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};
struct Nmt {};
struct ByteLevel {};
}  // namespace norm

using NormalizerSpec =
    std::variant<norm::Unicode, norm::Lowercase, norm::Strip, norm::StripAccents, norm::Replace,
                 norm::Prepend, norm::Precompiled, norm::Bert, norm::Nmt, norm::ByteLevel>;

// ---- pre-tokenizers: each splits the pieces of the one before ----
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class PrependScheme { kNever, kFirst, kAlways };

namespace pre {
struct ByteLevel {
  bool add_prefix_space = true;
  bool use_regex = true;
};
struct Split {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;
};
struct Metaspace {
  std::string replacement{kSpaceSymbol};
  PrependScheme prepend_scheme = PrependScheme::kAlways;
  bool split = true;
};
struct Whitespace {};
struct WhitespaceSplit {};
struct Digits {
  bool individual_digits = false;
};
struct Punctuation {
  SplitBehavior behavior = SplitBehavior::kIsolated;
};
struct Bert {};
struct CharDelimiter {
  std::string delimiter;
};
struct FixedLength {
  size_t length = 5;
};
struct UnicodeScripts {};
}  // namespace pre

using PreTokenizerSpec =
    std::variant<pre::ByteLevel, pre::Split, pre::Metaspace, pre::Whitespace, pre::WhitespaceSplit,
                 pre::Digits, pre::Punctuation, pre::Bert, pre::CharDelimiter, pre::FixedLength,
                 pre::UnicodeScripts>;

// ---- models ----
// Pairs of token texts by rank, in one arena: half a million of them are common.
class MergeList {
 public:
  void reserve(size_t merges) { ends_.reserve(merges); }
  void add(std::string_view left, std::string_view right) {
    arena_.append(left).append(right);
    ends_.push_back({arena_.size() - right.size(), arena_.size()});
  }
  size_t size() const { return ends_.size(); }
  std::string_view left(size_t rank) const { return slice(begin(rank), ends_[rank].left); }
  std::string_view right(size_t rank) const { return slice(ends_[rank].left, ends_[rank].right); }
  std::string_view both(size_t rank) const { return slice(begin(rank), ends_[rank].right); }

 private:
  struct Ends {
    size_t left = 0;
    size_t right = 0;
  };
  size_t begin(size_t rank) const { return rank == 0 ? 0 : ends_[rank - 1].right; }
  std::string_view slice(size_t begin, size_t end) const {
    return std::string_view(arena_).substr(begin, end - begin);
  }

  std::string arena_;
  std::vector<Ends> ends_;
};

struct BpeSpec {
  Vocab vocab;
  MergeList merges;
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix;
  std::string end_of_word_suffix;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};
struct UnigramSpec {
  std::vector<std::pair<std::string, double>> pieces;  // by id: text, log probability
  std::optional<int32_t> unk_id;
  bool byte_fallback = false;
};
struct WordPieceSpec {
  Vocab vocab;
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  int max_input_chars_per_word = 100;
};
struct WordLevelSpec {
  Vocab vocab;
  std::string unk_token = "<unk>";
};

using ModelSpec = std::variant<BpeSpec, UnigramSpec, WordPieceSpec, WordLevelSpec>;

// ---- decoders: applied in order to the list of token texts ----
namespace dec {
struct ByteLevel {};
struct Metaspace {
  std::string replacement = "\xE2\x96\x81";
  PrependScheme prepend_scheme = PrependScheme::kAlways;
};
struct ByteFallback {};
struct Fuse {};
struct Strip {
  std::string content = " ";
  int start = 0;
  int stop = 0;
};
struct Replace {
  Pattern pattern;
  std::string content;
};
struct WordPiece {
  std::string prefix = "##";
  bool cleanup = true;
};
struct Bpe {
  std::string suffix = "</w>";
};
struct Ctc {
  std::string pad_token = "<pad>";
  std::string word_delimiter_token = "|";
  bool cleanup = true;
};
}  // namespace dec

using DecoderSpec = std::variant<dec::ByteLevel, dec::Metaspace, dec::ByteFallback, dec::Fuse,
                                 dec::Strip, dec::Replace, dec::WordPiece, dec::Bpe, dec::Ctc>;

// A token found in the text before the model sees it.
struct AddedToken {
  int32_t id = kNoToken;
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = true;
  bool special = false;
};

struct TokenizerSpec {
  std::string where;  // the file or source, for errors
  std::vector<NormalizerSpec> normalizers;
  std::vector<PreTokenizerSpec> pre_tokenizers;
  ModelSpec model;
  std::vector<AddedToken> added_tokens;
  std::vector<int32_t> ids_before;  // what the post-processor puts around one sequence
  std::vector<int32_t> ids_after;
  std::optional<std::vector<DecoderSpec>> decoders;  // none: token texts joined by spaces
  int32_t bos_id = kNoToken;
  int32_t eos_id = kNoToken;
  int32_t pad_id = kNoToken;
  int32_t unk_id = kNoToken;
  bool clean_up_tokenization_spaces = false;
};

}  // namespace hearth::tokenizer
