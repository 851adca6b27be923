#include "tokenizer/export_gguf.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/error.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/load.h"
#include "tokenizer/spm_model.h"

namespace hearth::tokenizer {
namespace {

// llama.cpp merges whatever makes the best-scored token, and ranks start at the best.
constexpr float kByteScore = -1e6f;

struct Table {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  std::vector<float> scores;  // empty where the model has none

  void put(int32_t id, std::string_view text, PieceType type) {
    texts[static_cast<size_t>(id)] = text;
    types[static_cast<size_t>(id)] = static_cast<int32_t>(type);
  }
};

bool is_byte(std::string_view text) {
  unsigned byte = 0;
  return text.size() == 6 && text.starts_with("<0x") && text.back() == '>' &&
         std::from_chars(text.data() + 3, text.data() + 5, byte, 16).ptr == text.data() + 5;
}

Table table_of(const TokenizerSpec& spec, int64_t rows) {
  Table table;
  table.texts.resize(static_cast<size_t>(rows));
  table.types.assign(static_cast<size_t>(rows), static_cast<int32_t>(PieceType::kUnused));
  for (int64_t id = 0; id < rows; ++id) {
    table.texts[static_cast<size_t>(id)] = fmt::format("[PAD{}]", id);
  }
  const auto fits = [&](int32_t id) { return id >= 0 && id < rows; };
  if (const auto* bpe = std::get_if<BpeSpec>(&spec.model)) {
    for (int32_t id = 0; id < bpe->vocab.size(); ++id) {
      if (!fits(id) || !bpe->vocab.has(id)) continue;
      const std::string_view text = bpe->vocab.text(id);
      const bool byte = bpe->byte_fallback && is_byte(text);
      table.put(id, text, byte ? PieceType::kByte : PieceType::kNormal);
    }
  } else {
    const auto& pieces = std::get<UnigramSpec>(spec.model).pieces;
    for (size_t id = 0; id < pieces.size() && fits(static_cast<int32_t>(id)); ++id) {
      const bool byte = is_byte(pieces[id].first);
      table.put(static_cast<int32_t>(id), pieces[id].first,
                byte ? PieceType::kByte : PieceType::kNormal);
    }
  }
  for (const AddedToken& token : spec.added_tokens) {
    if (!fits(token.id)) continue;
    const bool unknown = token.special && token.id == spec.unk_id;
    table.put(token.id, token.content,
              unknown         ? PieceType::kUnknown
              : token.special ? PieceType::kControl
                              : PieceType::kUserDefined);
  }
  return table;
}

// A token scores by the best merge that makes it; SentencePiece's rule then takes merges in the
// order of their ranks.
void score_by_merges(const BpeSpec& bpe, Table& table) {
  table.scores.assign(table.texts.size(), kByteScore);
  for (size_t rank = bpe.merges.size(); rank-- > 0;) {
    const int32_t id = bpe.vocab.find(bpe.merges.both(rank));
    if (id == kNoToken || static_cast<size_t>(id) >= table.scores.size()) continue;
    table.scores[static_cast<size_t>(id)] = -static_cast<float>(rank);
  }
}

// Whether the pipeline puts a space before a text.
bool adds_prefix(const TokenizerSpec& spec) {
  for (const NormalizerSpec& step : spec.normalizers) {
    if (std::holds_alternative<norm::Prepend>(step)) return true;
  }
  for (const PreTokenizerSpec& step : spec.pre_tokenizers) {
    const auto* metaspace = std::get_if<pre::Metaspace>(&step);
    if (metaspace != nullptr && metaspace->prepend_scheme != PrependScheme::kNever) return true;
  }
  return false;
}

bool splits_bytes(const TokenizerSpec& spec) {
  return std::any_of(
      spec.pre_tokenizers.begin(), spec.pre_tokenizers.end(),
      [](const PreTokenizerSpec& step) { return std::holds_alternative<pre::ByteLevel>(step); });
}

void write_bpe(const TokenizerSpec& spec, io::GgufWriter& writer) {
  const auto& bpe = std::get<BpeSpec>(spec.model);
  writer.text("tokenizer.ggml.model", "gpt2");
  writer.text("tokenizer.ggml.pre", gguf_pre_tokenizer(spec));
  std::vector<std::string> merges;
  merges.reserve(bpe.merges.size());
  for (size_t rank = 0; rank < bpe.merges.size(); ++rank) {
    merges.push_back(fmt::format("{} {}", bpe.merges.left(rank), bpe.merges.right(rank)));
  }
  writer.texts("tokenizer.ggml.merges", merges);
}

void write_sentencepiece(const TokenizerSpec& spec, Table& table, io::GgufWriter& writer) {
  writer.flag("tokenizer.ggml.add_space_prefix", adds_prefix(spec));
  if (const auto* bpe = std::get_if<BpeSpec>(&spec.model)) {
    writer.text("tokenizer.ggml.model", "llama");
    writer.text("tokenizer.ggml.pre", "default");
    score_by_merges(*bpe, table);
    return;
  }
  writer.text("tokenizer.ggml.model", "t5");
  const auto& pieces = std::get<UnigramSpec>(spec.model).pieces;
  table.scores.assign(table.texts.size(), 0.0f);
  for (size_t id = 0; id < std::min(pieces.size(), table.scores.size()); ++id) {
    table.scores[id] = static_cast<float>(pieces[id].second);
  }
  bool squeezes = false;
  for (const NormalizerSpec& step : spec.normalizers) {
    squeezes = squeezes || std::holds_alternative<norm::Strip>(step);
    if (const auto* map = std::get_if<norm::Precompiled>(&step)) {
      writer.bytes("tokenizer.ggml.precompiled_charsmap", map->charsmap);
    }
  }
  writer.flag("tokenizer.ggml.remove_extra_whitespaces", squeezes);
}

bool contains(const std::vector<int32_t>& ids, int32_t id) {
  return id != kNoToken && std::find(ids.begin(), ids.end(), id) != ids.end();
}

void write_special(const TokenizerSpec& spec, std::span<const int32_t> ends,
                   io::GgufWriter& writer) {
  const auto put = [&](const char* name, int32_t id) {
    if (id == kNoToken) return;
    writer.integer(fmt::format("tokenizer.ggml.{}_token_id", name), static_cast<uint32_t>(id));
  };
  put("bos", spec.bos_id);
  put("unknown", spec.unk_id);
  put("padding", spec.pad_id);
  const int32_t eos = spec.eos_id != kNoToken ? spec.eos_id : ends.empty() ? kNoToken : ends[0];
  put("eos", eos);
  const char* more[] = {"eot", "eom"};
  size_t used = 0;
  for (int32_t end : ends) {
    if (end != eos && used < std::size(more)) put(more[used++], end);
  }
  writer.flag("tokenizer.ggml.add_bos_token", contains(spec.ids_before, spec.bos_id));
  writer.flag("tokenizer.ggml.add_eos_token", contains(spec.ids_after, spec.eos_id));
}

void write_templates(io::FileSource& files, io::GgufWriter& writer) {
  const ChatTemplate chat = ChatTemplate::load(files);
  if (chat.is_fallback()) return;
  std::vector<std::string> others;
  for (const auto& [name, source] : chat.sources()) {
    if (name == "default") {
      writer.text("tokenizer.chat_template", source);
    } else {
      writer.text("tokenizer.chat_template." + name, source);
      others.push_back(name);
    }
  }
  if (!others.empty()) writer.texts("tokenizer.chat_templates", others);
}

}  // namespace

void export_gguf_tokenizer(io::FileSource& files, int64_t rows, std::span<const int32_t> ends,
                           io::GgufWriter& writer) {
  const TokenizerSpec spec = load_spec(files);
  const bool bpe = std::holds_alternative<BpeSpec>(spec.model);
  if (!bpe && !std::holds_alternative<UnigramSpec>(spec.model)) {
    throw_error(ErrorCode::kUnsupported, spec.where,
                "a word-level tokenizer has no GGUF form; BPE, SentencePiece and unigram have");
  }
  Table table = table_of(spec, rows);
  if (bpe && splits_bytes(spec)) {
    write_bpe(spec, writer);
  } else {
    write_sentencepiece(spec, table, writer);
  }
  writer.texts("tokenizer.ggml.tokens", table.texts);
  writer.integers("tokenizer.ggml.token_type", table.types);
  if (!table.scores.empty()) writer.numbers("tokenizer.ggml.scores", table.scores);
  write_special(spec, ends, writer);
  write_templates(files, writer);
}

}  // namespace hearth::tokenizer
