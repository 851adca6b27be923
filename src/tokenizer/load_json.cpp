// tokenizer.json. The vocabulary and the merges, which are nearly all of it, go straight from the
// parser into their tables; the rest is small and becomes a document first.
#include <utility>

#include "base/error.h"
#include "io/json.h"
#include "tokenizer/load.h"

namespace hearth::tokenizer {
namespace {

using io::Json;
using io::json_get;
using io::json_require;

constexpr size_t kDepthMax = 32;
constexpr int64_t kTokenIdMax = 16'000'000;
constexpr size_t kPatternDepthMax = 16;

[[noreturn]] void refuse(const std::string& where, std::string_view what) {
  throw_error(ErrorCode::kInvalidArgument, where, "{}", what);
}

// What the parser gathers.
struct Document {
  Json root;
  Vocab vocab;
  std::vector<std::pair<std::string, double>> pieces;  // of a unigram model
  MergeList merges;
  bool has_vocab_object = false;
  bool has_vocab_array = false;
  bool has_merges = false;
};

class Reader final : public nlohmann::json_sax<Json> {
 public:
  Reader(Document& document, const std::string& where) : doc_(document), where_(where) {}

  bool null() override { return scalar(Json(nullptr)); }
  bool boolean(bool value) override { return scalar(Json(value)); }
  bool number_integer(int64_t value) override { return number(value, Json(value)); }
  bool number_unsigned(uint64_t value) override {
    return number(static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX)), Json(value));
  }
  bool number_float(double value, const std::string&) override {
    if (section_ == Section::kPieces) return piece_score(value);
    return scalar(Json(value));
  }
  bool binary(Json::binary_t&) override { return false; }

  bool string(std::string& value) override {
    switch (section_) {
      case Section::kPieces:
        doc_.pieces.emplace_back(std::move(value), 0.0);
        return true;
      case Section::kMerges:
        return merge_text(value);
      case Section::kVocab:
        refuse(where_, "model.vocab must map token texts to integer ids");
      case Section::kNone:
        break;
    }
    return scalar(Json(std::move(value)));
  }

  bool start_object(size_t) override {
    if (section_ != Section::kNone) refuse(where_, "model.vocab and model.merges hold no objects");
    if (in_model() && key_ == "vocab") return enter(Section::kVocab);
    return open(Json::object());
  }
  bool end_object() override { return section_ == Section::kVocab ? leave() : close(); }

  bool start_array(size_t) override {
    if (section_ == Section::kPieces || section_ == Section::kMerges) {
      pair_.clear();
      return ++section_depth_ == 2 ||
             (refuse(where_, "model.vocab or model.merges is nested"), true);
    }
    if (section_ == Section::kVocab) refuse(where_, "model.vocab must map token texts to integers");
    if (in_model() && key_ == "vocab") return enter(Section::kPieces);
    if (in_model() && key_ == "merges") return enter(Section::kMerges);
    return open(Json::array());
  }
  bool end_array() override {
    if (section_ == Section::kNone) return close();
    if (--section_depth_ == 0) return leave();
    if (section_ == Section::kMerges) {
      if (pair_.size() != 2) refuse(where_, "an entry of model.merges is not a pair");
      doc_.merges.add(pair_[0], pair_[1]);
    }
    return true;
  }

  bool key(std::string& value) override {
    key_ = std::move(value);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    throw_error(ErrorCode::kInvalidArgument, where_, "not valid JSON at byte {}", position);
  }

 private:
  enum class Section { kNone, kVocab, kPieces, kMerges };

  bool in_model() const {
    return stack_.size() == 2 && model_ != nullptr && stack_.back() == model_;
  }

  bool enter(Section section) {
    section_ = section;
    section_depth_ = 1;
    doc_.has_vocab_object = doc_.has_vocab_object || section == Section::kVocab;
    doc_.has_vocab_array = doc_.has_vocab_array || section == Section::kPieces;
    doc_.has_merges = doc_.has_merges || section == Section::kMerges;
    return true;
  }
  bool leave() {
    section_ = Section::kNone;
    return true;
  }

  bool number(int64_t value, Json json) {
    if (section_ == Section::kVocab) {
      if (value < 0 || value > kTokenIdMax) {
        throw_error(ErrorCode::kInvalidArgument, where_,
                    "model.vocab gives '{}' the id {}; ids go from 0 to {}", key_, value,
                    kTokenIdMax);
      }
      doc_.vocab.add(key_, static_cast<int32_t>(value));
      return true;
    }
    if (section_ == Section::kPieces) return piece_score(static_cast<double>(value));
    return scalar(std::move(json));
  }

  bool piece_score(double value) {
    if (doc_.pieces.empty() || section_depth_ != 2) {
      refuse(where_, "model.vocab must be a list of [piece, score]");
    }
    doc_.pieces.back().second = value;
    return true;
  }

  bool merge_text(std::string& value) {
    if (section_depth_ == 2) {
      pair_.push_back(std::move(value));
      return true;
    }
    if (value.starts_with("#version")) return true;
    const size_t space = value.find(' ');
    if (space == std::string::npos || value.find(' ', space + 1) != std::string::npos) {
      throw_error(ErrorCode::kInvalidArgument, where_,
                  "model.merges[{}] is '{}', not two tokens with a space between",
                  doc_.merges.size(), value);
    }
    const std::string_view text = value;
    doc_.merges.add(text.substr(0, space), text.substr(space + 1));
    return true;
  }

  Json& place(Json value) {
    if (stack_.empty()) return doc_.root = std::move(value);
    Json& parent = *stack_.back();
    if (parent.is_array()) return parent.emplace_back(std::move(value));
    return parent[key_] = std::move(value);
  }

  bool scalar(Json value) {
    if (section_ != Section::kNone)
      refuse(where_, "model.vocab or model.merges holds a wrong value");
    place(std::move(value));
    return true;
  }

  bool open(Json value) {
    if (stack_.size() == kDepthMax) {
      throw_error(ErrorCode::kInvalidArgument, where_, "JSON is nested deeper than {} levels",
                  kDepthMax);
    }
    const bool is_model = stack_.size() == 1 && key_ == "model";
    Json& placed = place(std::move(value));
    stack_.push_back(&placed);
    if (is_model) model_ = &placed;
    return true;
  }
  bool close() {
    if (stack_.back() == model_) model_ = nullptr;
    stack_.pop_back();
    return true;
  }

  Document& doc_;
  const std::string& where_;
  std::vector<Json*> stack_;
  Json* model_ = nullptr;
  std::string key_;
  Section section_ = Section::kNone;
  int section_depth_ = 0;
  std::vector<std::string> pair_;
};

// One component of the pipeline: its JSON and its path in the file.
struct Part {
  const Json& json;
  std::string where;

  std::string type() const { return json_require<std::string>(json, "type", where); }
  template <typename T>
  T get(const char* key, T fallback) const {
    return json_get<T>(json, key, std::move(fallback), where);
  }
  std::string text(const char* key) const { return json_require<std::string>(json, key, where); }
};

[[noreturn]] void unsupported(const Part& part, std::string_view kind) {
  throw_error(ErrorCode::kUnsupported, part.where, "{} '{}' is not supported", kind, part.type());
}

// Walks a component that may be a Sequence, whose list is under `list_key`.
template <typename Visit>
void for_each_part(const Part& part, const char* list_key, Visit&& visit, size_t depth = 0) {
  if (part.json.is_null()) return;
  if (!part.json.is_object()) refuse(part.where, "must be an object with a type");
  if (part.type() != "Sequence") return visit(part);
  if (depth == kPatternDepthMax) refuse(part.where, "sequences are nested too deep");
  const auto list = part.json.find(list_key);
  if (list == part.json.end() || !list->is_array()) {
    throw_error(ErrorCode::kInvalidArgument, part.where, "field '{}' must be a list", list_key);
  }
  for (size_t i = 0; i < list->size(); ++i) {
    for_each_part({(*list)[i], fmt::format("{}.{}[{}]", part.where, list_key, i)}, list_key, visit,
                  depth + 1);
  }
}

Pattern read_pattern(const Part& part) {
  const auto it = part.json.find("pattern");
  if (it != part.json.end() && it->is_object()) {
    if (it->contains("String")) {
      return {Pattern::Kind::kLiteral, json_require<std::string>(*it, "String", part.where)};
    }
    if (it->contains("Regex")) {
      return {Pattern::Kind::kRegex, json_require<std::string>(*it, "Regex", part.where)};
    }
  }
  refuse(part.where, "field 'pattern' must be {\"String\": ...} or {\"Regex\": ...}");
}

SplitBehavior read_behavior(const Part& part, const std::string& fallback) {
  const std::string name = part.get<std::string>("behavior", fallback);
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  throw_error(ErrorCode::kUnsupported, part.where, "split behavior '{}' is not known", name);
}

PrependScheme read_prepend_scheme(const Part& part) {
  const std::string fallback = part.get("add_prefix_space", true) ? "always" : "never";
  const std::string name = part.get<std::string>("prepend_scheme", fallback);
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  if (name == "never") return PrependScheme::kNever;
  throw_error(ErrorCode::kUnsupported, part.where, "prepend_scheme '{}' is not known", name);
}

std::string decode_base64(std::string_view text, const std::string& where) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) refuse(where, "precompiled_charsmap is not base64");
    bits = (bits << 6 | static_cast<uint32_t>(digit)) & 0xFFFFFF;
    if ((count += 6) >= 8) out.push_back(static_cast<char>(bits >> (count -= 8)));
  }
  return out;
}

NormalizerSpec read_normalizer(const Part& part) {
  const std::string type = part.type();
  if (type == "NFC") return norm::Unicode{NormalForm::kNfc};
  if (type == "NFD") return norm::Unicode{NormalForm::kNfd};
  if (type == "NFKC") return norm::Unicode{NormalForm::kNfkc};
  if (type == "NFKD") return norm::Unicode{NormalForm::kNfkd};
  if (type == "Lowercase") return norm::Lowercase{};
  if (type == "Nmt") return norm::Nmt{};
  if (type == "ByteLevel") return norm::ByteLevel{};
  if (type == "StripAccents") return norm::StripAccents{};
  if (type == "Prepend") return norm::Prepend{part.text("prepend")};
  if (type == "Replace") return norm::Replace{read_pattern(part), part.text("content")};
  if (type == "Strip") {
    return norm::Strip{part.get("strip_left", true), part.get("strip_right", true)};
  }
  if (type == "Precompiled") {
    return norm::Precompiled{decode_base64(part.text("precompiled_charsmap"), part.where)};
  }
  if (type == "BertNormalizer") {
    const bool lowercase = part.get("lowercase", true);
    return norm::Bert{.clean_text = part.get("clean_text", true),
                      .handle_chinese_chars = part.get("handle_chinese_chars", true),
                      .strip_accents = part.get("strip_accents", lowercase),
                      .lowercase = lowercase};
  }
  unsupported(part, "normalizer");
}

PreTokenizerSpec read_pre_tokenizer(const Part& part) {
  const std::string type = part.type();
  if (type == "ByteLevel") {
    return pre::ByteLevel{part.get("add_prefix_space", true), part.get("use_regex", true)};
  }
  if (type == "Split") {
    return pre::Split{read_pattern(part), read_behavior(part, "Isolated"),
                      part.get("invert", false)};
  }
  if (type == "Metaspace") {
    return pre::Metaspace{part.get<std::string>("replacement", pre::Metaspace{}.replacement),
                          read_prepend_scheme(part), part.get("split", true)};
  }
  if (type == "Whitespace") return pre::Whitespace{};
  if (type == "WhitespaceSplit") return pre::WhitespaceSplit{};
  if (type == "Digits") return pre::Digits{part.get("individual_digits", false)};
  if (type == "Punctuation") return pre::Punctuation{read_behavior(part, "Isolated")};
  if (type == "BertPreTokenizer") return pre::Bert{};
  if (type == "CharDelimiterSplit") return pre::CharDelimiter{part.text("delimiter")};
  if (type == "FixedLength") {
    const auto length = part.get<int64_t>("length", 5);
    if (length < 1) refuse(part.where, "field 'length' must be at least 1");
    return pre::FixedLength{static_cast<size_t>(length)};
  }
  if (type == "UnicodeScripts") return pre::UnicodeScripts{};
  unsupported(part, "pre_tokenizer");
}

DecoderSpec read_decoder(const Part& part) {
  const std::string type = part.type();
  if (type == "ByteLevel") return dec::ByteLevel{};
  if (type == "ByteFallback") return dec::ByteFallback{};
  if (type == "Fuse") return dec::Fuse{};
  if (type == "Metaspace") {
    return dec::Metaspace{part.get<std::string>("replacement", dec::Metaspace{}.replacement),
                          read_prepend_scheme(part)};
  }
  if (type == "Strip") {
    const std::string content = part.text("content");
    if (content.empty()) refuse(part.where, "field 'content' must be one character");
    return dec::Strip{content, part.get("start", 0), part.get("stop", 0)};
  }
  if (type == "Replace") return dec::Replace{read_pattern(part), part.text("content")};
  if (type == "WordPiece") {
    return dec::WordPiece{part.get<std::string>("prefix", "##"), part.get("cleanup", true)};
  }
  if (type == "BPEDecoder") return dec::Bpe{part.get<std::string>("suffix", "</w>")};
  if (type == "CTC") {
    return dec::Ctc{part.get<std::string>("pad_token", "<pad>"),
                    part.get<std::string>("word_delimiter_token", "|"), part.get("cleanup", true)};
  }
  unsupported(part, "decoder");
}

ModelSpec read_model(Document& document, const std::string& where) {
  const auto it = document.root.find("model");
  if (it == document.root.end() || !it->is_object()) refuse(where, "field 'model' is missing");
  const Part part{*it, where + ": model"};
  const std::string guess = document.has_merges                        ? "BPE"
                            : document.has_vocab_array                 ? "Unigram"
                            : it->contains("max_input_chars_per_word") ? "WordPiece"
                                                                       : "WordLevel";
  const std::string type = part.get("type", guess);
  if (type == "Unigram") {
    if (!document.has_vocab_array)
      refuse(part.where, "field 'vocab' must be a list of [piece, score]");
    const auto unk_id = part.get<int64_t>("unk_id", -1);
    UnigramSpec spec{.pieces = std::move(document.pieces),
                     .unk_id = {},
                     .byte_fallback = part.get("byte_fallback", false)};
    if (unk_id >= 0) spec.unk_id = static_cast<int32_t>(std::min<int64_t>(unk_id, INT32_MAX));
    return spec;
  }
  if (type != "BPE" && type != "WordPiece" && type != "WordLevel") unsupported(part, "model");
  if (!document.has_vocab_object) refuse(part.where, "field 'vocab' must map token texts to ids");
  if (type == "BPE") {
    BpeSpec spec{
        .vocab = std::move(document.vocab),
        .merges = std::move(document.merges),
        .unk_token = {},
        .continuing_subword_prefix = part.get<std::string>("continuing_subword_prefix", ""),
        .end_of_word_suffix = part.get<std::string>("end_of_word_suffix", ""),
        .fuse_unk = part.get("fuse_unk", false),
        .byte_fallback = part.get("byte_fallback", false),
        .ignore_merges = part.get("ignore_merges", false)};
    if (it->contains("unk_token") && !(*it)["unk_token"].is_null()) {
      spec.unk_token = part.text("unk_token");
    }
    return spec;
  }
  if (type == "WordPiece") {
    return WordPieceSpec{
        .vocab = std::move(document.vocab),
        .unk_token = part.get<std::string>("unk_token", "[UNK]"),
        .continuing_subword_prefix = part.get<std::string>("continuing_subword_prefix", "##"),
        .max_input_chars_per_word = part.get("max_input_chars_per_word", 100)};
  }
  return WordLevelSpec{.vocab = std::move(document.vocab),
                       .unk_token = part.get<std::string>("unk_token", "<unk>")};
}

std::vector<AddedToken> read_added_tokens(const Json& root, const std::string& where) {
  std::vector<AddedToken> tokens;
  const auto list = root.find("added_tokens");
  if (list == root.end() || list->is_null()) return tokens;
  if (!list->is_array()) refuse(where, "field 'added_tokens' must be a list");
  for (size_t i = 0; i < list->size(); ++i) {
    const Part part{(*list)[i], fmt::format("{}: added_tokens[{}]", where, i)};
    if (!part.json.is_object()) refuse(part.where, "must be an object");
    const auto id = json_require<int64_t>(part.json, "id", part.where);
    if (id < 0 || id > kTokenIdMax) {
      throw_error(ErrorCode::kInvalidArgument, part.where, "id {} is not between 0 and {}", id,
                  kTokenIdMax);
    }
    const bool special = part.get("special", false);
    tokens.push_back({.id = static_cast<int32_t>(id),
                      .content = part.text("content"),
                      .single_word = part.get("single_word", false),
                      .lstrip = part.get("lstrip", false),
                      .rstrip = part.get("rstrip", false),
                      .normalized = part.get("normalized", !special),
                      .special = special});
  }
  return tokens;
}

void read_template(const Part& part, std::vector<int32_t>& before, std::vector<int32_t>& after) {
  const auto single = part.json.find("single");
  if (single == part.json.end() || !single->is_array()) {
    refuse(part.where, "field 'single' must be a list");
  }
  const auto special = part.json.find("special_tokens");
  bool seen_text = false;
  for (const Json& piece : *single) {
    if (piece.contains("Sequence")) {
      if (seen_text) refuse(part.where, "a template that repeats its text is not supported");
      seen_text = true;
      continue;
    }
    if (!piece.contains("SpecialToken")) refuse(part.where, "a template holds an unknown element");
    const auto name = json_require<std::string>(piece["SpecialToken"], "id", part.where);
    if (special == part.json.end() || !special->contains(name)) {
      throw_error(ErrorCode::kInvalidArgument, part.where, "special_tokens lacks '{}'", name);
    }
    const auto ids = json_require<std::vector<int32_t>>((*special)[name], "ids", part.where);
    std::vector<int32_t>& side = seen_text ? after : before;
    side.insert(side.end(), ids.begin(), ids.end());
  }
}

// Bert and Roberta name their tokens as ["text", id].
int32_t read_named_id(const Part& part, const char* key) {
  const auto it = part.json.find(key);
  if (it == part.json.end() || !it->is_array() || it->size() != 2 ||
      !(*it)[1].is_number_integer()) {
    throw_error(ErrorCode::kInvalidArgument, part.where, "field '{}' must be [text, id]", key);
  }
  return (*it)[1].get<int32_t>();
}

void read_post_processor(const Part& part, TokenizerSpec& spec) {
  const std::string type = part.type();
  if (type == "ByteLevel") return;  // only moves offsets
  std::vector<int32_t> before;
  std::vector<int32_t> after;
  if (type == "TemplateProcessing") {
    read_template(part, before, after);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    before.push_back(read_named_id(part, "cls"));
    after.push_back(read_named_id(part, "sep"));
  } else {
    unsupported(part, "post_processor");
  }
  spec.ids_before.insert(spec.ids_before.begin(), before.begin(), before.end());
  spec.ids_after.insert(spec.ids_after.end(), after.begin(), after.end());
}

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view text, const std::string& where) {
  Document document;
  document.vocab.reserve(text.size() / 64, text.size() / 8);
  document.merges.reserve(text.size() / 64);
  Reader reader(document, where);
  if (!Json::sax_parse(text.begin(), text.end(), &reader) || !document.root.is_object()) {
    refuse(where, "not a JSON object");
  }
  TokenizerSpec spec;
  spec.where = where;
  static const Json kNull;
  const auto part = [&](const char* key) {
    const auto it = document.root.find(key);
    return Part{it == document.root.end() ? kNull : *it, fmt::format("{}: {}", where, key)};
  };
  for_each_part(part("normalizer"), "normalizers",
                [&](const Part& p) { spec.normalizers.push_back(read_normalizer(p)); });
  for_each_part(part("pre_tokenizer"), "pretokenizers",
                [&](const Part& p) { spec.pre_tokenizers.push_back(read_pre_tokenizer(p)); });
  for_each_part(part("post_processor"), "processors",
                [&](const Part& p) { read_post_processor(p, spec); });
  if (!part("decoder").json.is_null()) {
    spec.decoders.emplace();
    for_each_part(part("decoder"), "decoders",
                  [&](const Part& p) { spec.decoders->push_back(read_decoder(p)); });
  }
  spec.model = read_model(document, where);
  spec.added_tokens = read_added_tokens(document.root, where);
  for (AddedToken& token : spec.added_tokens) {
    const int32_t known = find_token(spec, token.content);
    if (known != kNoToken) token.id = known;
  }
  return spec;
}

}  // namespace hearth::tokenizer
