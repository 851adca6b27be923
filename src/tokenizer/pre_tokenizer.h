// Pre-tokenizers: the cuts that no token may cross. Immutable; one thread's scratch per call.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/spec.h"

namespace hearth::tokenizer {

struct Piece {
  std::string_view text;
  bool at_start = false;  // begins where the whole text begins
};

// The pieces of one call, and the strings that steps had to write anew.
struct Pieces {
  std::vector<Piece> now;
  std::vector<Piece> next;
  std::deque<std::string> written;

  void clear() {
    now.clear();
    written.clear();
  }
};

class PreTokenizer {
 public:
  // What a final ByteLevel leaves in the pieces: GPT-2's alphabet, or the plain bytes for a model
  // that can work on those with the same result.
  enum class ByteOutput { kChars, kBytes };

  PreTokenizer(const std::vector<PreTokenizerSpec>& specs, ByteOutput wanted,
               const std::string& where);

  // True where bytes were wanted, the last step is ByteLevel and no other is.
  bool yields_bytes() const { return yields_bytes_; }

  // Splits pieces.now in place. No piece that comes out is empty.
  void apply(Pieces& pieces, RegexScratch& scratch) const;

 private:
  struct ByteLevel {
    bool add_prefix_space;
    std::optional<Regex> regex;
  };
  struct Split {
    std::string literal;
    std::optional<Regex> regex;
    SplitBehavior behavior;
    bool invert;
  };
  struct Metaspace {
    pre::Metaspace spec;
  };
  using Step = std::variant<ByteLevel, Split, Metaspace, pre::Whitespace, pre::WhitespaceSplit,
                            pre::Digits, pre::Punctuation, pre::Bert, pre::CharDelimiter,
                            pre::FixedLength, pre::UnicodeScripts>;
  struct Runner;

  std::vector<Step> steps_;
  bool yields_bytes_ = false;
};

}  // namespace hearth::tokenizer
