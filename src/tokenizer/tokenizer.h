// Tokenizers equal to Hugging Face's: text to token ids and back.
//
// A Tokenizer is immutable after load and may be shared by all threads; working memory comes from
// an internal pool. Text that is not valid UTF-8 is read as Rust and the web read it: each maximal
// invalid sequence counts as one U+FFFD.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_source.h"
#include "tokenizer/spec.h"

namespace hearth::tokenizer {

class DecodeChain;

// Whether to put the post-processor's tokens (a BOS, say) around the text's.
enum class AddSpecial { kNo, kYes };
// Whether the text of a special token in the input becomes that token, or plain text. Use kAsText
// for what users wrote and must not be able to control with.
enum class ParseSpecial { kAsTokens, kAsText };
// Whether special tokens are left out of decoded text.
enum class SkipSpecial { kNo, kYes };

class Tokenizer {
 public:
  // A model's files: the metadata of a GGUF file, or tokenizer.json, else tokenizer.model, else
  // vocab.json + merges.txt; with tokenizer_config.json and special_tokens_map.json where they are.
  // Throws Error naming file and field; kUnsupported names the component that is not known. `files`
  // is not needed afterwards.
  static std::unique_ptr<Tokenizer> load(io::FileSource& files);

  // The contents of a tokenizer.json, and of a tokenizer_config.json ("" for none). `where` names
  // the source in errors.
  static std::unique_ptr<Tokenizer> from_json(std::string_view tokenizer_json,
                                              std::string_view tokenizer_config_json = "",
                                              const std::string& where = "tokenizer.json");

  // From parts in memory, whatever file they came in.
  explicit Tokenizer(TokenizerSpec spec);
  ~Tokenizer();

  std::vector<int32_t> encode(std::string_view text, AddSpecial add = AddSpecial::kYes,
                              ParseSpecial parse = ParseSpecial::kAsTokens) const;

  // Ids that no token has are left out, as Hugging Face does.
  std::string decode(std::span<const int32_t> ids, SkipSpecial skip = SkipSpecial::kYes) const;

  // One more than the highest id; some ids below may have no token.
  int32_t vocab_size() const { return static_cast<int32_t>(tokens_.size()); }

  // The token as the vocabulary writes it ("Ġthe", "▁the", "<0x0A>"); empty where there is none.
  std::string_view token_text(int32_t id) const;
  // The bytes that it adds to decoded text when other tokens precede it (" the", "\n"); empty for a
  // special token. What grammar masks are computed from.
  std::string_view token_bytes(int32_t id) const;
  // kNoToken where there is none.
  int32_t id_of(std::string_view token_text) const;
  bool is_special(int32_t id) const;

  int32_t bos_id() const { return bos_id_; }  // these are kNoToken where not configured
  int32_t eos_id() const { return eos_id_; }
  int32_t pad_id() const { return pad_id_; }
  int32_t unk_id() const { return unk_id_; }

  // For StreamDecoder: a pass of the decoder, and the text it is fed for `id` (nothing where the
  // token does not exist or is skipped).
  DecodeChain start_decoding() const;
  std::optional<std::string_view> decodable_text(int32_t id, SkipSpecial skip) const;

 private:
  struct Parts;
  struct Scratch;
  class ScratchLease;

  enum class Flag : uint8_t { kHole, kOrdinary, kSpecial };
  struct Token {
    uint32_t text_offset = 0;
    uint32_t text_bytes = 0;
    uint32_t raw_offset = 0;
    uint32_t raw_bytes = 0;
    Flag flag = Flag::kHole;
  };

  void build_tokens(const TokenizerSpec& spec);
  void encode_model(Scratch& scratch, std::vector<int32_t>& out) const;
  void encode_segment(std::string_view text, bool at_start, ParseSpecial parse, Scratch& scratch,
                      std::vector<int32_t>& out) const;

  std::unique_ptr<Parts> parts_;
  std::vector<Token> tokens_;  // by id
  std::string arena_;          // texts and bytes of all tokens
  int32_t bos_id_ = kNoToken;
  int32_t eos_id_ = kNoToken;
  int32_t pad_id_ = kNoToken;
  int32_t unk_id_ = kNoToken;
};

}  // namespace hearth::tokenizer
