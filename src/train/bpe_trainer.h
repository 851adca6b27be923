// Trains a byte-level BPE vocabulary (Sennrich et al. 2016, over bytes as GPT-2 does) and writes it
// as a tokenizer.json that Hugging Face's library and Hearth read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/json_fwd.h"

namespace hearth::train {

// How often each piece of text between the pre-tokenizer's cuts occurs.
class WordCounts {
 public:
  WordCounts();
  ~WordCounts();
  WordCounts(WordCounts&&) noexcept;
  // Cuts as GPT-2 does: letters, digits and other characters apart, a space with what follows.
  void add(std::string_view text);
  const std::unordered_map<std::string, int64_t>& counts() const { return counts_; }

 private:
  struct Cutter;
  std::unique_ptr<Cutter> cutter_;
  std::unordered_map<std::string, int64_t> counts_;
};

struct BpeVocabulary {
  std::vector<std::string> tokens;                          // bytes of each: 256 single ones first
  std::vector<std::pair<std::string, std::string>> merges;  // in order
};

// Merges the most frequent pair until `size` tokens exist or no pair occurs twice. Ties go to the
// pair whose tokens came first, so that the result depends on the counts only.
BpeVocabulary train_bpe(const std::unordered_map<std::string, int64_t>& words, int64_t size);

// Special tokens get the first ids.
io::Json tokenizer_json(const BpeVocabulary& vocabulary,
                        const std::vector<std::string>& special_tokens);

}  // namespace hearth::train
