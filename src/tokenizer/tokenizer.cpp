#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/unigram.h"
#include "tokenizer/word_model.h"

namespace hearth::tokenizer {
namespace {

using Model = std::variant<Bpe, Unigram, WordPiece, WordLevel>;

Model make_model(ModelSpec spec, Bpe::Input input, const std::string& where) {
  struct Visitor {
    Bpe::Input input;
    const std::string& where;
    Model operator()(BpeSpec& bpe) const { return Bpe(std::move(bpe), input, where); }
    Model operator()(UnigramSpec& unigram) const { return Unigram(std::move(unigram), where); }
    Model operator()(WordPieceSpec& words) const { return WordPiece(std::move(words), where); }
    Model operator()(WordLevelSpec& words) const { return WordLevel(std::move(words), where); }
  };
  return std::visit(Visitor{input, where}, spec);
}

// transformers cleans up after every model but BPE, whose spaces are meant.
Decoder::Cleanup cleanup_of(const TokenizerSpec& spec) {
  const bool bpe = std::holds_alternative<BpeSpec>(spec.model);
  return spec.clean_up_tokenization_spaces && !bpe ? Decoder::Cleanup::kOn : Decoder::Cleanup::kOff;
}

PreTokenizer make_pre_tokenizer(const TokenizerSpec& spec) {
  const auto bytes = std::holds_alternative<BpeSpec>(spec.model) ? PreTokenizer::ByteOutput::kBytes
                                                                 : PreTokenizer::ByteOutput::kChars;
  return PreTokenizer(spec.pre_tokenizers, bytes, spec.where);
}

}  // namespace

// Working memory of one call.
struct Tokenizer::Scratch {
  RegexScratchPtr regex = make_regex_scratch();
  BpeScratch bpe;
  Pieces pieces;
  NormalizedText normalized;
  std::vector<AddedTokenMatcher::Span> spans;
  std::vector<AddedTokenMatcher::Span> normalized_spans;
};

struct Tokenizer::Parts {
  explicit Parts(TokenizerSpec& spec)
      : normalizer(spec.normalizers, spec.where),
        pre_tokenizer(make_pre_tokenizer(spec)),
        decoder(spec.decoders, cleanup_of(spec), spec.where),
        ids_before(std::move(spec.ids_before)),
        ids_after(std::move(spec.ids_after)),
        model(make_model(std::move(spec.model),
                         pre_tokenizer.yields_bytes() ? Bpe::Input::kBytes : Bpe::Input::kText,
                         spec.where)) {}

  const Vocab& vocab() const {
    return std::visit([](const auto& known) -> const Vocab& { return known.vocab(); }, model);
  }

  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  Decoder decoder;
  std::vector<int32_t> ids_before;
  std::vector<int32_t> ids_after;
  Model model;
  AddedTokenMatcher raw_tokens;         // looked for in the text as it came
  AddedTokenMatcher normalized_tokens;  // looked for after normalization
  std::unordered_map<std::string, int32_t> added_ids;

  mutable std::mutex scratch_mutex;
  mutable std::vector<std::unique_ptr<Scratch>> idle_scratch;  // as many as calls ran at one time
};

class Tokenizer::ScratchLease {
 public:
  explicit ScratchLease(const Parts& parts) : parts_(parts) {
    const std::scoped_lock lock(parts_.scratch_mutex);
    if (parts_.idle_scratch.empty()) {
      scratch_ = std::make_unique<Scratch>();
    } else {
      scratch_ = std::move(parts_.idle_scratch.back());
      parts_.idle_scratch.pop_back();
    }
  }
  ~ScratchLease() {
    const std::scoped_lock lock(parts_.scratch_mutex);
    parts_.idle_scratch.push_back(std::move(scratch_));
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  Scratch& operator*() const { return *scratch_; }

 private:
  const Parts& parts_;
  std::unique_ptr<Scratch> scratch_;
};

Tokenizer::Tokenizer(TokenizerSpec spec)
    : bos_id_(spec.bos_id), eos_id_(spec.eos_id), pad_id_(spec.pad_id), unk_id_(spec.unk_id) {
  parts_ = std::make_unique<Parts>(spec);
  const ScratchLease scratch(*parts_);
  for (const AddedToken& token : spec.added_tokens) {
    parts_->added_ids[token.content] = token.id;
    if (!token.normalized) {
      parts_->raw_tokens.add(token.content, token);
      continue;
    }
    NormalizedText content{token.content};
    parts_->normalizer.apply(content, *(*scratch).regex);
    parts_->normalized_tokens.add(content.text, token);
  }
  build_tokens(spec);
}

Tokenizer::~Tokenizer() = default;

void Tokenizer::build_tokens(const TokenizerSpec& spec) {
  const Vocab& vocab = parts_->vocab();
  tokens_.resize(static_cast<size_t>(vocab.size()));
  for (const AddedToken& token : spec.added_tokens) {
    tokens_.resize(std::max(tokens_.size(), static_cast<size_t>(token.id) + 1));
  }
  const auto put = [&](int32_t id, std::string_view text, Flag flag) {
    Token& token = tokens_[static_cast<size_t>(id)];
    const std::string raw = flag == Flag::kSpecial ? "" : parts_->decoder.bytes_of(text);
    token = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(text.size()),
             static_cast<uint32_t>(arena_.size() + text.size()), static_cast<uint32_t>(raw.size()),
             flag};
    arena_.append(text).append(raw);
  };
  arena_.reserve(tokens_.size() * 16);
  for (int32_t id = 0; id < vocab.size(); ++id) {
    if (vocab.has(id)) put(id, vocab.text(id), Flag::kOrdinary);
  }
  for (const AddedToken& token : spec.added_tokens) {
    put(token.id, token.content, token.special ? Flag::kSpecial : Flag::kOrdinary);
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, AddSpecial add,
                                       ParseSpecial parse) const {
  std::vector<int32_t> out;
  if (add == AddSpecial::kYes) out = parts_->ids_before;
  const ScratchLease lease(*parts_);
  Scratch& scratch = *lease;
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = to_valid_utf8(text);

  const auto special = parse == ParseSpecial::kAsText ? AddedTokenMatcher::SpecialTokens::kSkip
                                                      : AddedTokenMatcher::SpecialTokens::kMatch;
  scratch.spans.clear();
  parts_->raw_tokens.split(text, special, scratch.spans);
  for (const AddedTokenMatcher::Span& span : scratch.spans) {
    if (span.token != nullptr) {
      out.push_back(span.token->id);
    } else {
      encode_segment(span.text, span.text.data() == text.data(), parse, scratch, out);
    }
  }
  if (add == AddSpecial::kYes) {
    out.insert(out.end(), parts_->ids_after.begin(), parts_->ids_after.end());
  }
  return out;
}

// Text without raw added tokens: normalizes it and cuts out the other added tokens.
void Tokenizer::encode_segment(std::string_view text, bool at_start, ParseSpecial parse,
                               Scratch& scratch, std::vector<int32_t>& out) const {
  if (!parts_->normalizer.empty()) {
    scratch.normalized.text = text;
    scratch.normalized.at_start = at_start;
    parts_->normalizer.apply(scratch.normalized, *scratch.regex);
    text = scratch.normalized.text;
    at_start = scratch.normalized.at_start;
  }
  const auto special = parse == ParseSpecial::kAsText ? AddedTokenMatcher::SpecialTokens::kSkip
                                                      : AddedTokenMatcher::SpecialTokens::kMatch;
  scratch.normalized_spans.clear();
  parts_->normalized_tokens.split(text, special, scratch.normalized_spans);
  for (const AddedTokenMatcher::Span& span : scratch.normalized_spans) {
    if (span.token != nullptr) {
      out.push_back(span.token->id);
      continue;
    }
    scratch.pieces.clear();
    scratch.pieces.now.push_back({span.text, at_start && span.text.data() == text.data()});
    parts_->pre_tokenizer.apply(scratch.pieces, *scratch.regex);
    encode_model(scratch, out);
  }
}

void Tokenizer::encode_model(Scratch& scratch, std::vector<int32_t>& out) const {
  if (const auto* bpe = std::get_if<Bpe>(&parts_->model)) {
    for (const Piece& piece : scratch.pieces.now) bpe->encode(piece.text, scratch.bpe, out);
    return;
  }
  for (const Piece& piece : scratch.pieces.now) {
    std::visit(
        [&]<typename Known>(const Known& model) {
          if constexpr (!std::is_same_v<Known, Bpe>) model.encode(piece.text, out);
        },
        parts_->model);
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids, SkipSpecial skip) const {
  std::string out;
  DecodeChain chain = start_decoding();
  for (const int32_t id : ids) {
    if (const auto text = decodable_text(id, skip)) chain.push(*text, out);
  }
  chain.finish(out);
  return out;
}

DecodeChain Tokenizer::start_decoding() const { return DecodeChain(parts_->decoder); }

std::optional<std::string_view> Tokenizer::decodable_text(int32_t id, SkipSpecial skip) const {
  if (id < 0 || id >= vocab_size()) return std::nullopt;
  const Flag flag = tokens_[static_cast<size_t>(id)].flag;
  if (flag == Flag::kHole || (flag == Flag::kSpecial && skip == SkipSpecial::kYes)) {
    return std::nullopt;
  }
  return token_text(id);
}

std::string_view Tokenizer::token_text(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const Token& token = tokens_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(token.text_offset, token.text_bytes);
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return {};
  const Token& token = tokens_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(token.raw_offset, token.raw_bytes);
}

int32_t Tokenizer::id_of(std::string_view token_text) const {
  const auto added = parts_->added_ids.find(std::string(token_text));
  return added != parts_->added_ids.end() ? added->second : parts_->vocab().find(token_text);
}

bool Tokenizer::is_special(int32_t id) const {
  return id >= 0 && id < vocab_size() && tokens_[static_cast<size_t>(id)].flag == Flag::kSpecial;
}

}  // namespace hearth::tokenizer
