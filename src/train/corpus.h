// Documents of a training corpus: where they come from, and which are good enough.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::train {

struct Message {
  std::string role;  // system, user or assistant
  std::string content;
};

// Plain text, or a conversation.
struct Document {
  std::string text;
  std::vector<Message> messages;
};

enum class CorpusFormat : uint8_t {
  kText,  // documents between lines that hold only the separator
  kJsonl  // one JSON object a line: a "text", or "messages" of role and content
};

// By its name: .jsonl, or anything else for text.
CorpusFormat format_of(const std::string& path);

// Reads a file line by line and hands out its documents. Throws Error naming file and line.
void read_corpus(const std::string& path, CorpusFormat format, const std::string& separator,
                 const std::function<void(Document)>& take);

// All text of a document, for judging and comparing.
std::string whole_text(const Document& document);

struct QualityOptions {
  int64_t min_words = 0;                    // fewer: dropped
  int64_t max_words = 0;                    // more: dropped; 0: no limit
  double max_repeated_share = 1.0;          // of 4-word runs that occurred before in the document
  double min_letter_share = 0.0;            // letters and spaces among all characters
  double max_word_share = 1.0;              // of the most frequent word
  bool ends_with_mark = false;              // the last character closes a sentence: . ! ? " '
  bool ascii_only = false;                  // no other characters
  std::vector<std::string> forbidden = {};  // texts that must not occur
};

// The name of the first rule that a document breaks; nothing: it is good.
std::optional<std::string> broken_rule(const Document& document, const QualityOptions& options);

// Finds documents that say the same as one before: exactly, or nearly by MinHash over runs of five
// words (Broder 1997) in bands of a locality-sensitive hash.
class Deduplicator {
 public:
  // near_threshold: estimated share of common runs from which two are the same; 1: exact only.
  explicit Deduplicator(double near_threshold);
  ~Deduplicator();

  enum class Verdict : uint8_t { kNew, kExact, kNear };
  // Judges and remembers.
  Verdict check(std::string_view text);

 private:
  struct Index;
  std::unique_ptr<Index> index_;
  double near_threshold_;
};

// The share of common runs of two texts as the Deduplicator estimates it; for tests.
double estimated_overlap(std::string_view a, std::string_view b);

}  // namespace hearth::train
