#include "train/corpus.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/random.h"
#include "io/json.h"

namespace hearth::train {
namespace {

constexpr int kBands = 16;
constexpr int kBandRows = 4;
constexpr int kHashes = kBands * kBandRows;
constexpr size_t kShingleWords = 5;
constexpr size_t kRunWords = 4;  // for repetition inside one document

using Signature = std::array<uint32_t, kHashes>;

uint64_t hash_text(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3u;
  return split_mix(hash);
}

// Hashes of the words, lower case, without marks: what two spellings of one text share.
std::vector<uint64_t> word_hashes(std::string_view text) {
  std::vector<uint64_t> hashes;
  std::string word;
  const auto flush = [&] {
    if (!word.empty()) hashes.push_back(hash_text(word));
    word.clear();
  };
  for (unsigned char c : text) {
    if (std::isalnum(c) || c >= 0x80) {
      word.push_back(static_cast<char>(std::tolower(c)));
    } else if (c != '\'') {
      flush();
    }
  }
  flush();
  return hashes;
}

std::vector<uint64_t> run_hashes(const std::vector<uint64_t>& words, size_t length) {
  std::vector<uint64_t> runs;
  for (size_t i = 0; i + length <= words.size(); ++i) {
    uint64_t hash = 0;
    for (size_t j = 0; j < length; ++j) hash = split_mix(hash ^ words[i + j]);
    runs.push_back(hash);
  }
  return runs;
}

// The least of kHashes different hashes over the runs: two texts agree in about as many places as
// they share runs.
Signature sign(const std::vector<uint64_t>& words) {
  Signature signature;
  signature.fill(~uint32_t{0});
  const size_t length = std::min(kShingleWords, std::max<size_t>(1, words.size()));
  for (uint64_t run : run_hashes(words, length)) {
    for (int i = 0; i < kHashes; ++i) {
      const uint64_t odd = (static_cast<uint64_t>(i) * 2 + 1) * 0x9e3779b97f4a7c15u;
      const auto hash = static_cast<uint32_t>((run * odd) >> 32);
      auto& least = signature[static_cast<size_t>(i)];
      least = std::min(least, hash);
    }
  }
  return signature;
}

double agreement(const Signature& a, const Signature& b) {
  int same = 0;
  for (size_t i = 0; i < kHashes; ++i) same += a[i] == b[i] ? 1 : 0;
  return static_cast<double>(same) / kHashes;
}

Document parse_line(const std::string& line, const std::string& where) {
  const io::Json json = io::parse_json(line, where);
  Document document;
  const auto messages = json.find("messages");
  if (messages != json.end()) {
    for (const io::Json& message : *messages) {
      document.messages.push_back({io::json_require<std::string>(message, "role", where),
                                   io::json_require<std::string>(message, "content", where)});
    }
    return document;
  }
  document.text = io::json_require<std::string>(json, "text", where);
  return document;
}

}  // namespace

CorpusFormat format_of(const std::string& path) {
  return path.ends_with(".jsonl") ? CorpusFormat::kJsonl : CorpusFormat::kText;
}

void read_corpus(const std::string& path, CorpusFormat format, const std::string& separator,
                 const std::function<void(Document)>& take) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw_error(ErrorCode::kNotFound, path, "could not open the corpus file");
  std::string line;
  int64_t number = 0;
  Document document;
  const auto flush = [&] {
    while (!document.text.empty() && document.text.back() == '\n') document.text.pop_back();
    if (!document.text.empty()) take(std::move(document));
    document = {};
  };
  while (std::getline(in, line)) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (format == CorpusFormat::kJsonl) {
      if (!line.empty()) take(parse_line(line, fmt::format("{}:{}", path, number)));
    } else if (line == separator) {
      flush();
    } else {
      document.text += line + "\n";
    }
  }
  if (in.bad()) throw_error(ErrorCode::kIo, path, "could not read line {}", number + 1);
  flush();
}

std::string whole_text(const Document& document) {
  if (document.messages.empty()) return document.text;
  std::string text;
  for (const Message& message : document.messages) text += message.content + "\n";
  return text;
}

std::optional<std::string> broken_rule(const Document& document, const QualityOptions& options) {
  const std::string text = whole_text(document);
  const std::vector<uint64_t> words = word_hashes(text);
  const auto count = static_cast<int64_t>(words.size());
  if (count < options.min_words) return "min_words";
  if (options.max_words > 0 && count > options.max_words) return "max_words";
  for (const std::string& phrase : options.forbidden) {
    if (text.find(phrase) != std::string::npos) return "forbidden";
  }
  int64_t letters = 0;
  for (unsigned char c : text) {
    if (options.ascii_only && c >= 0x80) return "ascii_only";
    letters += std::isalpha(c) || std::isspace(c) || c >= 0x80 ? 1 : 0;
  }
  const auto size = static_cast<double>(std::max<size_t>(1, text.size()));
  if (static_cast<double>(letters) / size < options.min_letter_share) return "min_letter_share";
  if (options.ends_with_mark) {
    const size_t last = text.find_last_not_of(" \n\t");
    if (last == std::string::npos || std::string(".!?\"'").find(text[last]) == std::string::npos) {
      return "ends_with_mark";
    }
  }
  const std::vector<uint64_t> runs = run_hashes(words, kRunWords);
  const std::unordered_set<uint64_t> different(runs.begin(), runs.end());
  const auto repeated = static_cast<double>(runs.size() - different.size());
  if (!runs.empty() && repeated / static_cast<double>(runs.size()) > options.max_repeated_share) {
    return "max_repeated_share";
  }
  std::unordered_map<uint64_t, int64_t> frequency;
  int64_t highest = 0;
  for (uint64_t word : words) highest = std::max(highest, ++frequency[word]);
  if (count > 0 &&
      static_cast<double>(highest) / static_cast<double>(count) > options.max_word_share) {
    return "max_word_share";
  }
  return std::nullopt;
}

struct Deduplicator::Index {
  std::unordered_set<uint64_t> exact;
  std::vector<Signature> signatures;
  std::array<std::unordered_map<uint64_t, std::vector<uint32_t>>, kBands> bands;
};

Deduplicator::Deduplicator(double near_threshold)
    : index_(std::make_unique<Index>()), near_threshold_(near_threshold) {}

Deduplicator::~Deduplicator() = default;

Deduplicator::Verdict Deduplicator::check(std::string_view text) {
  const std::vector<uint64_t> words = word_hashes(text);
  uint64_t whole = words.size();
  for (uint64_t word : words) whole = split_mix(whole ^ word);
  if (!index_->exact.insert(whole).second) return Verdict::kExact;
  if (near_threshold_ >= 1.0) return Verdict::kNew;
  const Signature signature = sign(words);
  std::array<uint64_t, kBands> keys;
  for (size_t band = 0; band < kBands; ++band) {
    keys[band] = band;
    for (size_t row = 0; row < kBandRows; ++row) {
      keys[band] = split_mix(keys[band] ^ signature[band * kBandRows + row]);
    }
    const auto it = index_->bands[band].find(keys[band]);
    if (it == index_->bands[band].end()) continue;
    for (uint32_t other : it->second) {
      if (agreement(signature, index_->signatures[other]) >= near_threshold_) {
        return Verdict::kNear;
      }
    }
  }
  const auto number = static_cast<uint32_t>(index_->signatures.size());
  index_->signatures.push_back(signature);
  for (size_t band = 0; band < kBands; ++band) index_->bands[band][keys[band]].push_back(number);
  return Verdict::kNew;
}

double estimated_overlap(std::string_view a, std::string_view b) {
  return agreement(sign(word_hashes(a)), sign(word_hashes(b)));
}

}  // namespace hearth::train
