// Normalizers: what happens to text before it is split into words. Immutable; one thread's scratch
// per call.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/spec.h"

namespace hearth::tokenizer {

class Charsmap;

// Text under normalization, and whether its first character still is the first of what the caller
// gave (the 'first' scheme of Metaspace asks).
struct NormalizedText {
  std::string text;
  bool at_start = true;
};

class Normalizer {
 public:
  Normalizer(const std::vector<NormalizerSpec>& specs, const std::string& where);
  ~Normalizer();
  Normalizer(Normalizer&&) noexcept;

  bool empty() const { return steps_.empty(); }
  // `text` is valid UTF-8 and stays so.
  void apply(NormalizedText& text, RegexScratch& scratch) const;

 private:
  struct Replace {
    std::string literal;  // used where there is no regex
    std::optional<Regex> regex;
    std::string content;
  };
  using Step = std::variant<norm::Unicode, norm::Lowercase, norm::Strip, norm::StripAccents,
                            Replace, norm::Prepend, std::unique_ptr<Charsmap>, norm::Bert,
                            norm::Nmt, norm::ByteLevel>;

  std::vector<Step> steps_;
};

// Each non-overlapping occurrence, from the left. An empty `from` changes nothing.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);
std::string replace_all(std::string_view text, const Regex& from, std::string_view to,
                        RegexScratch& scratch);

}  // namespace hearth::tokenizer
