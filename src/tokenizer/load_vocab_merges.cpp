// vocab.json with merges.txt: the older form of byte-level BPE tokenizers.
#include <array>

#include "base/error.h"
#include "io/json.h"
#include "tokenizer/load.h"

namespace hearth::tokenizer {
namespace {

constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::array<std::string_view, 2> kGpt2Classes = {"GPT2Tokenizer", "CodeGenTokenizer"};

// vocab.json has the shape of tokenizer.json's model.vocab, so its reader serves.
Vocab read_vocab(std::string_view vocab_json, const std::string& where) {
  std::string text = R"({"model":{"type":"WordLevel","vocab":)";
  text.append(vocab_json).append("}}");
  return std::move(std::get<WordLevelSpec>(parse_tokenizer_json(text, where).model).vocab);
}

MergeList read_merges(std::string_view text, const std::string& where) {
  MergeList merges;
  size_t number = 0;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    ++number;
    if (line.empty() || line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) {
      throw_error(ErrorCode::kInvalidArgument, where,
                  "line {} of merges.txt is '{}', not two tokens with a space between", number,
                  line);
    }
    merges.add(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

}  // namespace

TokenizerSpec parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_txt,
                                     const std::string& tokenizer_class, const std::string& where) {
  std::string_view family = tokenizer_class;
  if (family.ends_with("Fast")) family.remove_suffix(4);
  TokenizerSpec spec;
  spec.where = where;
  if (family == "Qwen2Tokenizer") {
    spec.normalizers.push_back(norm::Unicode{NormalForm::kNfc});
    spec.pre_tokenizers.push_back(
        pre::Split{{Pattern::Kind::kRegex, std::string(kQwen2Pattern)}, SplitBehavior::kIsolated});
    spec.pre_tokenizers.push_back(pre::ByteLevel{.add_prefix_space = false, .use_regex = false});
  } else if (std::find(kGpt2Classes.begin(), kGpt2Classes.end(), family) != kGpt2Classes.end()) {
    spec.pre_tokenizers.push_back(pre::ByteLevel{.add_prefix_space = false});
  } else {
    throw_error(ErrorCode::kUnsupported, where,
                "tokenizer_class '{}' without a tokenizer.json is not supported; save one with "
                "transformers' AutoTokenizer",
                tokenizer_class);
  }
  spec.model =
      BpeSpec{.vocab = read_vocab(vocab_json, where), .merges = read_merges(merges_txt, where)};
  spec.decoders = std::vector<DecoderSpec>{dec::ByteLevel{}};
  return spec;
}

}  // namespace hearth::tokenizer
