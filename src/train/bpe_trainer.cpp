#include "train/bpe_trainer.h"

#include <algorithm>
#include <queue>

#include "io/json.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/regex.h"

namespace hearth::train {
namespace {

constexpr const char* kCuts =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& p) const {
    const uint64_t both = static_cast<uint64_t>(p.first) << 32 | static_cast<uint32_t>(p.second);
    return static_cast<size_t>(both * 0x9e3779b97f4a7c15u >> 7);
  }
};

struct Word {
  std::vector<int32_t> tokens;
  int64_t count = 0;
};

struct Candidate {
  int64_t count = 0;
  Pair pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// The words as token sequences, and where each pair occurs. Counts in the heap may be stale: a
// candidate is checked against pair_counts_ when it comes up.
class Merger {
 public:
  explicit Merger(const std::unordered_map<std::string, int64_t>& counts) {
    std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
    std::sort(sorted.begin(), sorted.end());
    for (const auto& [text, count] : sorted) {
      Word word{{}, count};
      for (unsigned char byte : text) word.tokens.push_back(byte);
      words_.push_back(std::move(word));
    }
    for (size_t w = 0; w < words_.size(); ++w) {
      for (size_t i = 0; i + 1 < words_[w].tokens.size(); ++i) {
        const Pair pair{words_[w].tokens[i], words_[w].tokens[i + 1]};
        pair_counts_[pair] += words_[w].count;
        places_[pair].push_back(static_cast<int32_t>(w));
      }
    }
    for (const auto& [pair, count] : pair_counts_) heap_.push({count, pair});
  }

  // The most frequent pair, or a count of 0 when none occurs twice.
  Candidate best() {
    while (!heap_.empty()) {
      const Candidate top = heap_.top();
      heap_.pop();
      const int64_t now = pair_counts_[top.pair];
      if (now == top.count) return now > 1 ? top : Candidate{};
      if (now > 0) heap_.push({now, top.pair});
    }
    return {};
  }

  void merge(const Pair& pair, int32_t token) {
    std::vector<int32_t> places = std::move(places_[pair]);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    fresh_.clear();
    for (int32_t place : places) merge_word(place, pair, token);
    pair_counts_.erase(pair);
    places_.erase(pair);
    for (const Pair& made : fresh_) heap_.push({pair_counts_[made], made});
  }

 private:
  void merge_word(int32_t place, const Pair& pair, int32_t token) {
    Word& word = words_[static_cast<size_t>(place)];
    for (size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      if (Pair{word.tokens[i], word.tokens[i + 1]} != pair) continue;
      if (i > 0) {
        pair_counts_[{word.tokens[i - 1], pair.first}] -= word.count;
        gain({word.tokens[i - 1], token}, word.count, place);
      }
      if (i + 2 < word.tokens.size()) {
        pair_counts_[{pair.second, word.tokens[i + 2]}] -= word.count;
        gain({token, word.tokens[i + 2]}, word.count, place);
      }
      word.tokens[i] = token;
      word.tokens.erase(word.tokens.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
  }

  void gain(const Pair& pair, int64_t count, int32_t place) {
    pair_counts_[pair] += count;
    places_[pair].push_back(place);
    fresh_.push_back(pair);
  }

  std::vector<Word> words_;
  std::unordered_map<Pair, int64_t, PairHash> pair_counts_;
  std::unordered_map<Pair, std::vector<int32_t>, PairHash> places_;
  std::priority_queue<Candidate> heap_;
  std::vector<Pair> fresh_;
};

std::string chars_of(std::string_view bytes) {
  std::string chars;
  tokenizer::append_byte_chars(chars, bytes);
  return chars;
}

}  // namespace

struct WordCounts::Cutter {
  tokenizer::Regex regex{kCuts, "the built-in word pattern"};
  tokenizer::RegexScratchPtr scratch = tokenizer::make_regex_scratch();
};

WordCounts::WordCounts() : cutter_(std::make_unique<Cutter>()) {}
WordCounts::~WordCounts() = default;
WordCounts::WordCounts(WordCounts&&) noexcept = default;

void WordCounts::add(std::string_view text) {
  tokenizer::for_each_match(
      cutter_->regex, text, *cutter_->scratch, [&](const tokenizer::Match& match) {
        ++counts_[std::string(text.substr(match.begin, match.end - match.begin))];
      });
}

BpeVocabulary train_bpe(const std::unordered_map<std::string, int64_t>& words, int64_t size) {
  BpeVocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  }
  Merger merger(words);
  while (static_cast<int64_t>(vocabulary.tokens.size()) < size) {
    const Candidate best = merger.best();
    if (best.count == 0) break;
    const std::string left = vocabulary.tokens[static_cast<size_t>(best.pair.first)];
    const std::string right = vocabulary.tokens[static_cast<size_t>(best.pair.second)];
    merger.merge(best.pair, static_cast<int32_t>(vocabulary.tokens.size()));
    vocabulary.tokens.push_back(left + right);
    vocabulary.merges.emplace_back(left, right);
  }
  return vocabulary;
}

io::Json tokenizer_json(const BpeVocabulary& vocabulary,
                        const std::vector<std::string>& special_tokens) {
  io::Json added = io::Json::array();
  io::Json vocab = io::Json::object();
  int64_t id = 0;
  for (const std::string& token : special_tokens) {
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    vocab[token] = id++;
  }
  for (const std::string& token : vocabulary.tokens) {
    const std::string text = chars_of(token);
    if (!vocab.contains(text)) vocab[text] = id;
    ++id;
  }
  io::Json merges = io::Json::array();
  for (const auto& [left, right] : vocabulary.merges) {
    merges.push_back(chars_of(left) + " " + chars_of(right));
  }
  const io::Json byte_level = {{"type", "ByteLevel"},
                               {"add_prefix_space", false},
                               {"trim_offsets", true},
                               {"use_regex", true}};
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", merges}}},
  };
}

}  // namespace hearth::train
