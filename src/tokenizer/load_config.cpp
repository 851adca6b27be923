// What stands beside the tokenizer in a model folder: tokenizer_config.json,
// special_tokens_map.json.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "io/file_source.h"
#include "io/json.h"
#include "tokenizer/load.h"
#include "tokenizer/tokenizer.h"

namespace hearth::tokenizer {
namespace {

using io::Json;
using io::json_get;

// A token is named by its text or by an object with its text.
std::string token_named(const Json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) return {};
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") && (*it)["content"].is_string()) {
    return (*it)["content"].get<std::string>();
  }
  return {};
}

const Vocab* vocab_of(const ModelSpec& model) {
  struct Visitor {
    const Vocab* operator()(const UnigramSpec&) const { return nullptr; }
    const Vocab* operator()(const BpeSpec& spec) const { return &spec.vocab; }
    const Vocab* operator()(const WordPieceSpec& spec) const { return &spec.vocab; }
    const Vocab* operator()(const WordLevelSpec& spec) const { return &spec.vocab; }
  };
  return std::visit(Visitor{}, model);
}

void merge_added_tokens(TokenizerSpec& spec, const Json& config, const std::string& where) {
  const auto list = config.find("added_tokens_decoder");
  if (list == config.end() || !list->is_object()) return;
  for (const auto& [key, json] : list->items()) {
    const std::string at = where + ": added_tokens_decoder." + key;
    int32_t id = kNoToken;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size() || id < 0 || !json.is_object()) {
      throw_error(ErrorCode::kInvalidArgument, at, "must map a token id to an object");
    }
    AddedToken token{.id = id,
                     .content = io::json_require<std::string>(json, "content", at),
                     .single_word = json_get(json, "single_word", false, at),
                     .lstrip = json_get(json, "lstrip", false, at),
                     .rstrip = json_get(json, "rstrip", false, at),
                     .normalized = json_get(json, "normalized", true, at),
                     .special = json_get(json, "special", false, at)};
    const int32_t known = find_token(spec, token.content);
    if (known != kNoToken) token.id = known;
    const auto same = std::find_if(spec.added_tokens.begin(), spec.added_tokens.end(),
                                   [&](const AddedToken& t) { return t.content == token.content; });
    if (same == spec.added_tokens.end()) {
      spec.added_tokens.push_back(std::move(token));
    } else {
      token.special = token.special || same->special;
      *same = std::move(token);
    }
  }
}

// Since transformers 5, add_bos_token and add_eos_token replace the template of tokenizer.json
// wherever the config has one of them.
void apply_bos_eos_flags(TokenizerSpec& spec, const Json& config, const std::string& where) {
  if (!config.contains("add_bos_token") && !config.contains("add_eos_token")) return;
  spec.ids_before.clear();
  spec.ids_after.clear();
  if (json_get(config, "add_bos_token", false, where) && spec.bos_id != kNoToken) {
    spec.ids_before.push_back(spec.bos_id);
  }
  if (json_get(config, "add_eos_token", false, where) && spec.eos_id != kNoToken) {
    spec.ids_after.push_back(spec.eos_id);
  }
}

std::string_view text_if_there(io::FileSource& files, const std::string& name) {
  return files.has(name) ? files.text(name) : std::string_view();
}

Json parse_if_there(std::string_view text, const std::string& where) {
  if (text.empty()) return Json::object();
  Json json = io::parse_json(text, where);
  if (!json.is_object()) throw_error(ErrorCode::kInvalidArgument, where, "not a JSON object");
  return json;
}

// Files without a list of added tokens: the tokens that the config names are special. A token that
// the config describes as an object has its flags there.
void add_named_tokens(TokenizerSpec& spec, const Json& config, const Json& special_map,
                      const std::string& where) {
  for (const char* key : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    const Json& source = token_named(config, key).empty() ? special_map : config;
    const std::string content = token_named(source, key);
    const int32_t id = find_token(spec, content);
    if (id == kNoToken) continue;
    auto token = std::find_if(spec.added_tokens.begin(), spec.added_tokens.end(),
                              [&](const AddedToken& t) { return t.content == content; });
    if (token == spec.added_tokens.end()) {
      token = spec.added_tokens.insert(
          token, {.id = id, .content = content, .normalized = false, .special = true});
    }
    const Json& named = source[key];
    if (!named.is_object()) continue;
    token->single_word = json_get(named, "single_word", token->single_word, where);
    token->lstrip = json_get(named, "lstrip", token->lstrip, where);
    token->rstrip = json_get(named, "rstrip", token->rstrip, where);
    token->normalized = json_get(named, "normalized", token->normalized, where);
  }
}

}  // namespace

int32_t find_token(const TokenizerSpec& spec, std::string_view text) {
  if (text.empty()) return kNoToken;
  if (const Vocab* vocab = vocab_of(spec.model)) {
    const int32_t id = vocab->find(text);
    if (id != kNoToken) return id;
  } else {
    const auto& pieces = std::get<UnigramSpec>(spec.model).pieces;
    const auto it = std::find_if(pieces.begin(), pieces.end(),
                                 [&](const auto& piece) { return piece.first == text; });
    if (it != pieces.end()) return static_cast<int32_t>(it - pieces.begin());
  }
  for (const AddedToken& token : spec.added_tokens) {
    if (token.content == text) return token.id;
  }
  return kNoToken;
}

void apply_tokenizer_config(TokenizerSpec& spec, std::string_view config_text,
                            std::string_view special_map_text, const std::string& where) {
  const Json config = parse_if_there(config_text, where);
  const Json special_map = parse_if_there(special_map_text, where);
  merge_added_tokens(spec, config, where);
  const auto id_named = [&](const char* key, int32_t fallback) {
    std::string text = token_named(config, key);
    if (text.empty()) text = token_named(special_map, key);
    const int32_t id = find_token(spec, text);
    return id == kNoToken ? fallback : id;
  };
  spec.bos_id = id_named("bos_token", spec.bos_id);
  spec.eos_id = id_named("eos_token", spec.eos_id);
  spec.pad_id = id_named("pad_token", spec.pad_id);
  spec.unk_id = id_named("unk_token", spec.unk_id);
  spec.clean_up_tokenization_spaces =
      json_get(config, "clean_up_tokenization_spaces", false, where);
  apply_bos_eos_flags(spec, config, where);
}

std::unique_ptr<Tokenizer> Tokenizer::from_json(std::string_view tokenizer_json,
                                                std::string_view tokenizer_config_json,
                                                const std::string& where) {
  TokenizerSpec spec = parse_tokenizer_json(tokenizer_json, where);
  apply_tokenizer_config(spec, tokenizer_config_json, "", where + " (tokenizer_config.json)");
  return std::make_unique<Tokenizer>(std::move(spec));
}

TokenizerSpec load_spec(io::FileSource& files) {
  if (files.has(io::kGgufFile)) {
    const io::Gguf gguf = io::parse_gguf(files.bytes(io::kGgufFile), files.where(io::kGgufFile));
    return parse_gguf_tokenizer(gguf.metadata);
  }
  const std::string config_path = files.where("tokenizer_config.json");
  const std::string_view config_text = text_if_there(files, "tokenizer_config.json");
  const Json config = parse_if_there(config_text, config_path);
  TokenizerSpec spec;
  if (files.has("tokenizer.json")) {
    spec = parse_tokenizer_json(files.text("tokenizer.json"), files.where("tokenizer.json"));
  } else if (files.has("tokenizer.model")) {
    const SpmPrefix prefix =
        json_get(config, "legacy", true, config_path) ? SpmPrefix::kLegacy : SpmPrefix::kFirst;
    spec =
        parse_sentencepiece(files.text("tokenizer.model"), prefix, files.where("tokenizer.model"));
  } else if (files.has("vocab.json") && files.has("merges.txt")) {
    const auto tokenizer_class =
        json_get<std::string>(config, "tokenizer_class", "GPT2Tokenizer", config_path);
    spec = parse_vocab_and_merges(files.text("vocab.json"), files.text("merges.txt"),
                                  tokenizer_class, files.where("vocab.json"));
  } else {
    throw_error(ErrorCode::kNotFound, files.where("tokenizer.json"),
                "no tokenizer: expected tokenizer.json, tokenizer.model, or vocab.json with "
                "merges.txt");
  }
  const std::string_view special_map_text = text_if_there(files, "special_tokens_map.json");
  if (!files.has("tokenizer.json")) {
    const Json special_map =
        parse_if_there(special_map_text, files.where("special_tokens_map.json"));
    add_named_tokens(spec, config, special_map, config_path);
  }
  apply_tokenizer_config(spec, config_text, special_map_text, config_path);
  return spec;
}

std::unique_ptr<Tokenizer> Tokenizer::load(io::FileSource& files) {
  return std::make_unique<Tokenizer>(load_spec(files));
}

}  // namespace hearth::tokenizer
