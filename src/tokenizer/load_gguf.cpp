// The tokenizer and chat template that a GGUF file carries in its metadata (tokenizer.ggml.*).
#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "io/gguf.h"
#include "tokenizer/load.h"
#include "tokenizer/spm_model.h"

namespace hearth::tokenizer {
namespace {

constexpr int64_t kSpmUnigram = 1;
constexpr int64_t kSpmBpe = 2;

// GPT-2's split, and those that later vocabularies made of it.
constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// What tokenizer.ggml.pre names: how text is split before byte-pair encoding.
enum class Digits : uint8_t { kInWords, kAlone };
enum class Merges : uint8_t { kAlways, kUnlessWhole };  // a word that is a token needs no merges
enum class Bos : uint8_t { kNo, kYes };                 // where the file does not say
enum class Unicode : uint8_t { kAsIs, kNfc };
struct PreTokenizerName {
  const char* name;
  const char* pattern;
  Digits digits = Digits::kInWords;
  Merges merges = Merges::kAlways;
  Bos bos = Bos::kNo;
  Unicode unicode = Unicode::kAsIs;
};
constexpr PreTokenizerName kPreTokenizers[] = {
    {.name = "gpt-2", .pattern = kGpt2},
    {.name = "gpt2", .pattern = kGpt2},
    {.name = "phi-2", .pattern = kGpt2},
    {.name = "gpt-neox", .pattern = kGpt2, .unicode = Unicode::kNfc},
    {.name = "olmo", .pattern = kGpt2, .unicode = Unicode::kNfc},
    {.name = "smollm", .pattern = kGpt2, .digits = Digits::kAlone},
    {.name = "starcoder", .pattern = kGpt2, .digits = Digits::kAlone},
    {.name = "llama-bpe", .pattern = kLlama3, .merges = Merges::kUnlessWhole, .bos = Bos::kYes},
    {.name = "llama3", .pattern = kLlama3, .merges = Merges::kUnlessWhole, .bos = Bos::kYes},
    {.name = "llama-v3", .pattern = kLlama3, .merges = Merges::kUnlessWhole, .bos = Bos::kYes},
    {.name = "dbrx", .pattern = kLlama3},
    {.name = "smaug-bpe", .pattern = kLlama3},
    {.name = "qwen2", .pattern = kQwen2, .unicode = Unicode::kNfc},
    {.name = "deepseek-r1-qwen", .pattern = kQwen2, .unicode = Unicode::kNfc},
    {.name = "stablelm2", .pattern = kQwen2},
    {.name = "gpt-4o", .pattern = kGpt4o},
    {.name = "tekken", .pattern = kTekken, .merges = Merges::kUnlessWhole},
};

// Files from before the key was invented say the split by their architecture alone.
std::string pre_tokenizer_of(const io::GgufMetadata& metadata) {
  const auto stated = metadata.text("tokenizer.ggml.pre");
  if (stated && *stated != "default") return std::string(*stated);
  const std::string_view arch = metadata.text("general.architecture").value_or("");
  if (arch == "gptneox") return "gpt-neox";
  if (arch == "qwen2" || arch == "qwen3") return "qwen2";
  if (arch == "llama") return "llama-bpe";
  return "gpt-2";
}

const PreTokenizerName& pre_tokenizer_named(const std::string& name, const std::string& where) {
  const auto it = std::find_if(std::begin(kPreTokenizers), std::end(kPreTokenizers),
                               [&](const PreTokenizerName& known) { return name == known.name; });
  if (it != std::end(kPreTokenizers)) return *it;
  std::string known;
  for (const PreTokenizerName& each : kPreTokenizers) {
    known += known.empty() ? "" : ", ";
    known += each.name;
  }
  throw_error(
      ErrorCode::kUnsupported, where,
      "tokenizer.ggml.pre is '{}'; known are {}; take the model's Hugging Face folder, whose "
      "tokenizer.json says all",
      name, known);
}

struct Pieces {
  std::vector<std::string_view> texts;
  std::vector<double> scores;  // empty where the file has none
  std::vector<double> types;

  PieceType type(size_t id) const {
    const bool stated = id < types.size() && types[id] >= 1 && types[id] <= 6;
    return stated ? static_cast<PieceType>(static_cast<int>(types[id])) : PieceType::kNormal;
  }
};

Pieces pieces_of(const io::GgufMetadata& metadata) {
  Pieces pieces;
  const auto texts = metadata.strings("tokenizer.ggml.tokens");
  if (!texts || texts->empty()) {
    throw_error(ErrorCode::kDataLoss, metadata.where(),
                "key 'tokenizer.ggml.tokens' is missing: the file holds no tokenizer");
  }
  pieces.texts = *texts;
  pieces.scores = metadata.numbers("tokenizer.ggml.scores").value_or(std::vector<double>());
  pieces.types = metadata.numbers("tokenizer.ggml.token_type").value_or(std::vector<double>());
  for (const auto* list : {&pieces.scores, &pieces.types}) {
    if (!list->empty() && list->size() != pieces.texts.size()) {
      throw_error(
          ErrorCode::kDataLoss, metadata.where(), "tokenizer.ggml.{} has {} values for {} tokens",
          list == &pieces.scores ? "scores" : "token_type", list->size(), pieces.texts.size());
    }
  }
  return pieces;
}

int64_t id_at(const io::GgufMetadata& metadata, const char* key, int64_t absent) {
  return metadata.integer(std::string("tokenizer.ggml.") + key).value_or(absent);
}

bool flag_at(const io::GgufMetadata& metadata, const char* key, Bos absent) {
  return metadata.flag(std::string("tokenizer.ggml.") + key).value_or(absent == Bos::kYes);
}

// What the file puts around a text.
void put_around(const io::GgufMetadata& metadata, Bos bos, Bos eos, TokenizerSpec& spec) {
  spec.ids_before.clear();
  spec.ids_after.clear();
  if (flag_at(metadata, "add_bos_token", bos) && spec.bos_id != kNoToken) {
    spec.ids_before.push_back(spec.bos_id);
  }
  if (flag_at(metadata, "add_eos_token", eos) && spec.eos_id != kNoToken) {
    spec.ids_after.push_back(spec.eos_id);
  }
}

std::string charsmap_of(const io::GgufMetadata& metadata) {
  std::string bytes;
  for (double byte :
       metadata.numbers("tokenizer.ggml.precompiled_charsmap").value_or(std::vector<double>())) {
    bytes.push_back(static_cast<char>(static_cast<int>(byte)));
  }
  return bytes;
}

TokenizerSpec sentencepiece_spec(const io::GgufMetadata& metadata, int64_t model_type) {
  const Pieces pieces = pieces_of(metadata);
  SpmModel model;
  model.model_type = model_type;
  for (size_t id = 0; id < pieces.texts.size(); ++id) {
    const PieceType type = pieces.type(id);
    const auto score = id < pieces.scores.size() ? static_cast<float>(pieces.scores[id]) : 0.0f;
    model.pieces.push_back({to_valid_utf8(pieces.texts[id]), score, type});
    model.byte_fallback = model.byte_fallback || type == PieceType::kByte;
  }
  model.unk_id = id_at(metadata, "unknown_token_id", 0);
  model.bos_id = id_at(metadata, "bos_token_id", model_type == kSpmBpe ? 1 : -1);
  model.eos_id = id_at(metadata, "eos_token_id", model_type == kSpmBpe ? 2 : 1);
  model.pad_id = id_at(metadata, "padding_token_id", -1);
  model.charsmap = charsmap_of(metadata);
  model.add_dummy_prefix = flag_at(metadata, "add_space_prefix", Bos::kYes);
  model.remove_extra_whitespaces = flag_at(metadata, "remove_extra_whitespaces", Bos::kNo);
  TokenizerSpec spec = spec_of(model, SpmPrefix::kLegacy, metadata.where());
  const bool bpe = model_type == kSpmBpe;
  put_around(metadata, bpe ? Bos::kYes : Bos::kNo, bpe ? Bos::kNo : Bos::kYes, spec);
  // Phi-3's vocabulary has no place for it: its marks swallow the blanks behind them.
  if (metadata.text("general.architecture") == "phi3") {
    for (AddedToken& token : spec.added_tokens) {
      token.rstrip = token.id != spec.bos_id && token.id != spec.unk_id && token.special;
    }
  }
  return spec;
}

MergeList merges_of(const io::GgufMetadata& metadata) {
  const auto texts = metadata.strings("tokenizer.ggml.merges");
  if (!texts) {
    throw_error(ErrorCode::kDataLoss, metadata.where(), "key 'tokenizer.ggml.merges' is missing");
  }
  MergeList merges;
  merges.reserve(texts->size());
  for (std::string_view text : *texts) {
    const size_t space = text.find(' ', 1);
    if (space == std::string_view::npos) {
      throw_error(ErrorCode::kDataLoss, metadata.where(),
                  "tokenizer.ggml.merges[{}] is '{}', not two tokens with a space between",
                  merges.size(), text);
    }
    merges.add(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

int32_t token_id(const io::GgufMetadata& metadata, const char* key, size_t tokens) {
  const int64_t id = id_at(metadata, key, -1);
  return id >= 0 && id < static_cast<int64_t>(tokens) ? static_cast<int32_t>(id) : kNoToken;
}

TokenizerSpec bpe_spec(const io::GgufMetadata& metadata) {
  const Pieces pieces = pieces_of(metadata);
  const PreTokenizerName& pre = pre_tokenizer_named(pre_tokenizer_of(metadata), metadata.where());
  TokenizerSpec spec;
  spec.where = metadata.where();
  if (pre.unicode == Unicode::kNfc) spec.normalizers.push_back(norm::Unicode{NormalForm::kNfc});
  if (pre.digits == Digits::kAlone) spec.pre_tokenizers.emplace_back(pre::Digits{true});
  spec.pre_tokenizers.emplace_back(
      pre::Split{{Pattern::Kind::kRegex, pre.pattern}, SplitBehavior::kIsolated});
  spec.pre_tokenizers.emplace_back(pre::ByteLevel{.add_prefix_space = false, .use_regex = false});
  BpeSpec bpe{.merges = merges_of(metadata), .ignore_merges = pre.merges == Merges::kUnlessWhole};
  for (size_t id = 0; id < pieces.texts.size(); ++id) {
    const PieceType type = pieces.type(id);
    const std::string text = to_valid_utf8(pieces.texts[id]);
    // Rows that only fill the table up.
    if (type == PieceType::kUnused) continue;
    bpe.vocab.add(text, static_cast<int32_t>(id));
    const bool special = type == PieceType::kControl || type == PieceType::kUnknown;
    if (!special && type != PieceType::kUserDefined) continue;
    spec.added_tokens.push_back(
        {.id = static_cast<int32_t>(id), .content = text, .normalized = false, .special = special});
  }
  spec.model = std::move(bpe);
  spec.decoders = std::vector<DecoderSpec>{dec::ByteLevel{}};
  spec.bos_id = token_id(metadata, "bos_token_id", pieces.texts.size());
  spec.eos_id = token_id(metadata, "eos_token_id", pieces.texts.size());
  spec.pad_id = token_id(metadata, "padding_token_id", pieces.texts.size());
  spec.unk_id = token_id(metadata, "unknown_token_id", pieces.texts.size());
  put_around(metadata, pre.bos, Bos::kNo, spec);
  return spec;
}

}  // namespace

TokenizerSpec parse_gguf_tokenizer(const io::GgufMetadata& metadata) {
  const std::string_view model = metadata.required_text("tokenizer.ggml.model");
  if (model == "llama") return sentencepiece_spec(metadata, kSpmBpe);
  if (model == "t5") return sentencepiece_spec(metadata, kSpmUnigram);
  if (model == "gpt2") return bpe_spec(metadata);
  throw_error(ErrorCode::kUnsupported, metadata.where(),
              "tokenizer.ggml.model is '{}'; supported are llama (SentencePiece), gpt2 (byte-level "
              "BPE) and t5 (unigram)",
              model);
}

std::string gguf_pre_tokenizer(const TokenizerSpec& spec) {
  std::string pattern;
  bool digits = false, nfc = false;
  for (const PreTokenizerSpec& step : spec.pre_tokenizers) {
    if (const auto* split = std::get_if<pre::Split>(&step)) pattern = split->pattern.text;
    if (std::holds_alternative<pre::Digits>(step)) digits = true;
    const auto* bytes = std::get_if<pre::ByteLevel>(&step);
    if (bytes != nullptr && bytes->use_regex) pattern = kGpt2;
  }
  for (const NormalizerSpec& step : spec.normalizers) {
    nfc = nfc || std::holds_alternative<norm::Unicode>(step);
  }
  const bool whole = std::get<BpeSpec>(spec.model).ignore_merges;
  const PreTokenizerName* nearest = nullptr;
  for (const PreTokenizerName& known : kPreTokenizers) {
    const bool same = pattern == known.pattern && digits == (known.digits == Digits::kAlone);
    if (!same || known.name == std::string_view("gpt-neox")) continue;
    const bool exact =
        whole == (known.merges == Merges::kUnlessWhole) && nfc == (known.unicode == Unicode::kNfc);
    if (exact) return known.name;
    if (nearest == nullptr) nearest = &known;
  }
  if (nearest != nullptr) return nearest->name;
  throw_error(ErrorCode::kUnsupported, spec.where,
              "llama.cpp has no name for the way in which this tokenizer splits text: '{}'",
              pattern);
}

}  // namespace hearth::tokenizer
