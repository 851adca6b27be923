// Regular expressions as Hugging Face's tokenizers run them (Oniguruma's Ruby-like syntax over
// UTF-8), on PCRE2 with its JIT. Immutable after construction; each thread matches with its own
// RegexScratch.
//
// The pattern is rewritten where the two engines read it differently: \s \w \d \h and their
// negations, word boundaries, POSIX classes and scripts become explicit Unicode sets, ^ and $ work
// per line, and (?m) means what PCRE2 calls (?s). Characters newer than PCRE2's tables are added.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::tokenizer {

struct RegexScratch;
struct RegexScratchDeleter {
  void operator()(RegexScratch* scratch) const;
};
using RegexScratchPtr = std::unique_ptr<RegexScratch, RegexScratchDeleter>;

// Match data and the JIT's stack, reusable with any Regex. One thread at a time.
RegexScratchPtr make_regex_scratch();

struct Match {
  size_t begin = 0;
  size_t end = 0;
};

class Regex {
 public:
  // Throws Error kInvalidArgument naming `where`, the position and what PCRE2 expected.
  Regex(std::string_view pattern, const std::string& where);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Which form of the pattern a text needs: the plain one is faster, and right for text without
  // characters that are newer than PCRE2's tables.
  enum class Chars { kCommon, kRecent };
  static Chars chars_of(std::string_view text);

  // The leftmost match in `text` (valid UTF-8) at or after `from`. Throws kTooLarge where the
  // pattern backtracks beyond the engine's limits.
  std::optional<Match> find(std::string_view text, size_t from, Chars chars,
                            RegexScratch& scratch) const;

 private:
  struct Code;
  std::unique_ptr<Code> common_;
  std::unique_ptr<Code> recent_;
};

// All matches in order, the way Oniguruma's iterator walks them: after an empty match it moves on
// by one character, and an empty match where the last one ended is skipped.
template <typename Visit>
void for_each_match(const Regex& regex, std::string_view text, RegexScratch& scratch,
                    Visit&& visit) {
  const Regex::Chars chars = Regex::chars_of(text);
  size_t from = 0;
  std::optional<size_t> last_end;
  while (from <= text.size()) {
    const std::optional<Match> match = regex.find(text, from, chars, scratch);
    if (!match) return;
    const bool empty = match->begin == match->end;
    if (!empty || last_end != match->end) {
      visit(*match);
      last_end = match->end;
    }
    from = match->end;
    if (empty) {
      ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
    }
  }
}

// PCRE2's spelling of an Oniguruma pattern; exposed for tests. Throws kUnsupported for what PCRE2
// cannot express.
std::string translate_pattern(std::string_view pattern, Regex::Chars chars,
                              const std::string& where);

}  // namespace hearth::tokenizer
