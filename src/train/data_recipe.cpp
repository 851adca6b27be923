#include "train/data_recipe.h"

#include <algorithm>
#include <filesystem>

#include "base/random.h"
#include "io/file.h"
#include "io/file_source.h"
#include "tokenizer/tokenizer.h"
#include "train/internal/toml_fields.h"
#include "train/shard.h"

namespace hearth::train {
namespace {

template <internal::Is<DataRecipe> Recipe, typename Visit>
void visit_fields(Recipe& r, const Visit& visit) {
  visit("input", "files", r.input.files);
  visit("input", "separator", r.input.separator);
  visit("input", "documents_max", r.input.documents_max);
  visit("quality", "min_words", r.quality.min_words);
  visit("quality", "max_words", r.quality.max_words);
  visit("quality", "max_repeated_share", r.quality.max_repeated_share);
  visit("quality", "min_letter_share", r.quality.min_letter_share);
  visit("quality", "max_word_share", r.quality.max_word_share);
  visit("quality", "ends_with_mark", r.quality.ends_with_mark);
  visit("quality", "ascii_only", r.quality.ascii_only);
  visit("quality", "forbidden", r.quality.forbidden);
  visit("quality", "near_duplicate", r.quality.near_duplicate);
  visit("split", "validation_share", r.split.validation_share);
  visit("split", "validation_max", r.split.validation_max);
  visit("split", "seed", r.split.seed);
  visit("output", "tokenizer", r.output.tokenizer);
  visit("output", "folder", r.output.folder);
  visit("output", "end_of_text", r.output.end_of_text);
}

QualityOptions options_of(const QualityConfig& q) {
  return {q.min_words,      q.max_words,      q.max_repeated_share, q.min_letter_share,
          q.max_word_share, q.ends_with_mark, q.ascii_only,         q.forbidden};
}

struct Encoded {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> learn;
  int64_t text_bytes = 0;
};

void append(const tokenizer::Tokenizer& tokenizer, std::string_view text,
            tokenizer::ParseSpecial parse, uint8_t learn, Encoded& out) {
  for (int32_t token : tokenizer.encode(text, tokenizer::AddSpecial::kNo, parse)) {
    out.tokens.push_back(token);
    out.learn.push_back(learn);
  }
}

// A conversation in ChatML's form; only the assistant's words and the mark that ends them are
// learned.
void encode_chat(const tokenizer::Tokenizer& tokenizer, const std::vector<Message>& messages,
                 Encoded& out) {
  using tokenizer::ParseSpecial;
  for (const Message& message : messages) {
    const uint8_t learn = message.role == "assistant" ? 1 : 0;
    append(tokenizer, "<|im_start|>", ParseSpecial::kAsTokens, 0, out);
    append(tokenizer, message.role + "\n", ParseSpecial::kAsText, 0, out);
    append(tokenizer, message.content, ParseSpecial::kAsText, learn, out);
    append(tokenizer, "<|im_end|>", ParseSpecial::kAsTokens, learn, out);
    append(tokenizer, "\n", ParseSpecial::kAsText, 0, out);
  }
}

Encoded encode(const tokenizer::Tokenizer& tokenizer, const OutputConfig& output,
               const Document& document) {
  Encoded encoded;
  encoded.text_bytes = static_cast<int64_t>(whole_text(document).size());
  if (!document.messages.empty()) {
    encode_chat(tokenizer, document.messages, encoded);
    return encoded;
  }
  append(tokenizer, document.text, tokenizer::ParseSpecial::kAsText, 1, encoded);
  append(tokenizer, output.end_of_text, tokenizer::ParseSpecial::kAsTokens, 1, encoded);
  return encoded;
}

void check_tokenizer(const tokenizer::Tokenizer& tokenizer, const DataRecipe& recipe,
                     const std::vector<Document>& documents) {
  const auto need = [&](const std::string& token) {
    if (token.empty() || tokenizer.is_special(tokenizer.id_of(token))) return;
    throw_error(ErrorCode::kInvalidArgument, recipe.output.tokenizer,
                "the tokenizer has no special token {}", token);
  };
  need(recipe.output.end_of_text);
  const bool chats = std::any_of(documents.begin(), documents.end(),
                                 [](const Document& d) { return !d.messages.empty(); });
  if (!chats) return;
  need("<|im_start|>");
  need("<|im_end|>");
}

}  // namespace

DataRecipe parse_recipe(std::string_view text, const std::string& where,
                        const std::string& folder) {
  auto recipe = internal::read_toml<DataRecipe>(
      text, where, [](auto& r, const auto& visit) { visit_fields(r, visit); });
  internal::require(!recipe.input.files.empty(), where, "input.files", "a list of files");
  internal::require(!recipe.output.folder.empty(), where, "output.folder", "set");
  internal::require(!recipe.output.tokenizer.empty(), where, "output.tokenizer",
                    "a folder with tokenizer.json");
  const double share = recipe.split.validation_share;
  internal::require(share >= 0 && share < 1, where, "split.validation_share", "in [0, 1)");
  internal::require(recipe.split.validation_max >= 0, where, "split.validation_max", "0 or more");
  const QualityConfig& q = recipe.quality;
  internal::require(q.min_words >= 0, where, "quality.min_words", "0 or more");
  internal::require(q.max_words >= 0, where, "quality.max_words", "0 or more");
  internal::require_share(q.max_repeated_share, where, "quality.max_repeated_share");
  internal::require_share(q.min_letter_share, where, "quality.min_letter_share");
  internal::require_share(q.max_word_share, where, "quality.max_word_share");
  internal::require(q.near_duplicate > 0 && q.near_duplicate <= 1, where, "quality.near_duplicate",
                    "in (0, 1]");
  for (std::string& path : recipe.input.files) internal::anchor(path, folder);
  internal::anchor(recipe.output.tokenizer, folder);
  internal::anchor(recipe.output.folder, folder);
  return recipe;
}

DataRecipe load_recipe(const std::string& path) {
  return parse_recipe(io::read_file(path), path, internal::folder_of(path));
}

std::vector<Document> collect_documents(const DataRecipe& recipe, DataReport& report) {
  const QualityOptions options = options_of(recipe.quality);
  Deduplicator deduplicator(recipe.quality.near_duplicate);
  std::vector<Document> kept;
  for (const std::string& path : recipe.input.files) {
    read_corpus(path, format_of(path), recipe.input.separator, [&](Document document) {
      const int64_t most = recipe.input.documents_max;
      if (most > 0 && report.read >= most) return;
      ++report.read;
      if (const auto rule = broken_rule(document, options)) {
        ++report.dropped[*rule];
        return;
      }
      switch (deduplicator.check(whole_text(document))) {
        case Deduplicator::Verdict::kExact:
          ++report.dropped["exact_duplicate"];
          return;
        case Deduplicator::Verdict::kNear:
          ++report.dropped["near_duplicate"];
          return;
        case Deduplicator::Verdict::kNew:
          kept.push_back(std::move(document));
      }
    });
  }
  Random random(static_cast<uint64_t>(recipe.split.seed));
  random.shuffle(std::span(kept));
  return kept;
}

DataReport prepare_data(const DataRecipe& recipe, ops::Workers& workers) {
  io::Folder tokenizer_files(recipe.output.tokenizer);
  const auto tokenizer = tokenizer::Tokenizer::load(tokenizer_files);
  DataReport report;
  const std::vector<Document> documents = collect_documents(recipe, report);
  check_tokenizer(*tokenizer, recipe, documents);
  std::vector<Encoded> encoded(documents.size());
  workers.run(static_cast<int64_t>(documents.size()), [&](int64_t task, int) {
    const auto at = static_cast<size_t>(task);
    encoded[at] = encode(*tokenizer, recipe.output, documents[at]);
  });
  const auto share =
      static_cast<int64_t>(static_cast<double>(documents.size()) * recipe.split.validation_share);
  const int64_t held_out = std::min(share, recipe.split.validation_max);
  ShardWriter train(tokenizer->vocab_size());
  ShardWriter validation(tokenizer->vocab_size());
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < encoded.size(); ++i) {
    const Encoded& e = encoded[i];
    const bool to_train = static_cast<int64_t>(i) >= held_out;
    (to_train ? train : validation).add(e.tokens, e.text_bytes, e.learn);
    if (to_train) report.learned_tokens += std::count(e.learn.begin(), e.learn.end(), 1);
    report.text_bytes += e.text_bytes;
    lengths.push_back(static_cast<int64_t>(e.tokens.size()));
  }
  std::filesystem::create_directories(recipe.output.folder);
  train.write(recipe.output.folder + "/train.tok");
  validation.write(recipe.output.folder + "/validation.tok");
  report.train_documents = train.documents();
  report.train_tokens = train.tokens();
  report.validation_documents = validation.documents();
  report.validation_tokens = validation.tokens();
  if (!lengths.empty()) {
    std::sort(lengths.begin(), lengths.end());
    report.shortest = lengths.front();
    report.median = lengths[lengths.size() / 2];
    report.longest = lengths.back();
  }
  return report;
}

std::string describe(const DataReport& report) {
  std::string text = fmt::format("read        {} documents\n", report.read);
  for (const auto& [rule, count] : report.dropped) {
    text += fmt::format("dropped     {} by {}\n", count, rule);
  }
  const int64_t tokens = report.train_tokens + report.validation_tokens;
  text += fmt::format("train       {} documents, {} tokens, {} learned\n", report.train_documents,
                      report.train_tokens, report.learned_tokens);
  text += fmt::format("validation  {} documents, {} tokens\n", report.validation_documents,
                      report.validation_tokens);
  text += fmt::format(
      "tokens      {:.3f} bytes each; a document has {} to {}, median {}\n",
      static_cast<double>(report.text_bytes) / static_cast<double>(std::max<int64_t>(1, tokens)),
      report.shortest, report.longest, report.median);
  return text;
}

}  // namespace hearth::train
