// From text to token shards: `hearth data RECIPE.toml`.
//
// Documents are read, judged, freed of repetitions, shuffled in an order that depends on the seed
// only, split, tokenised by all workers, and written as train.tok and validation.tok.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ops/context.h"
#include "train/corpus.h"

namespace hearth::train {

struct InputConfig {
  std::vector<std::string> files = {};      // .jsonl with "text" or "messages", or plain text
  std::string separator = "<|endoftext|>";  // the line between documents of plain text
  int64_t documents_max = 0;                // read no more than this; 0: all
};

struct QualityConfig {
  int64_t min_words = 0;                    // fewer: dropped
  int64_t max_words = 0;                    // more: dropped; 0: no limit
  double max_repeated_share = 1.0;          // of 4-word runs that occurred before in the document
  double min_letter_share = 0.0;            // letters and spaces among all characters
  double max_word_share = 1.0;              // of the most frequent word
  bool ends_with_mark = false;              // the last character closes a sentence
  bool ascii_only = false;                  // no other characters
  std::vector<std::string> forbidden = {};  // texts that must not occur
  double near_duplicate = 1.0;  // share of common runs from which two documents are one; 1: exact
};

struct SplitConfig {
  double validation_share = 0.01;  // of the documents
  int64_t validation_max = 2000;   // documents
  int64_t seed = 1;                // of the shuffle
};

struct OutputConfig {
  std::string tokenizer = "";                 // folder with tokenizer.json
  std::string folder = "";                    // gets train.tok and validation.tok
  std::string end_of_text = "<|endoftext|>";  // token after each text document; "": none
};

struct DataRecipe {
  InputConfig input = {};      // [input]
  QualityConfig quality = {};  // [quality]
  SplitConfig split = {};      // [split]
  OutputConfig output = {};    // [output]
};

DataRecipe parse_recipe(std::string_view text, const std::string& where, const std::string& folder);
DataRecipe load_recipe(const std::string& path);

struct DataReport {
  int64_t read = 0;
  std::map<std::string, int64_t> dropped;  // by rule; "exact_duplicate" and "near_duplicate" too
  int64_t train_documents = 0, train_tokens = 0;
  int64_t validation_documents = 0, validation_tokens = 0;
  int64_t text_bytes = 0;                         // of what was kept
  int64_t learned_tokens = 0;                     // of train: those whose prediction counts
  int64_t shortest = 0, median = 0, longest = 0;  // tokens of a document
};

// Reads and judges; the documents that stay, in the order of the seed.
std::vector<Document> collect_documents(const DataRecipe& recipe, DataReport& report);

DataReport prepare_data(const DataRecipe& recipe, ops::Workers& workers);

// For people, several lines.
std::string describe(const DataReport& report);

}  // namespace hearth::train
