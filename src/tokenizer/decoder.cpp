#include "tokenizer/decoder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/unicode.h"

namespace hearth::tokenizer {
namespace {

// What a clean-up removes, in order. The first ten are transformers'; WordPiece's own differ by
// one.
struct Rewrite {
  std::string_view from;
  std::string_view to;
};
constexpr std::array kCleanup = {
    Rewrite{" .", "."},     Rewrite{" ?", "?"},     Rewrite{" !", "!"},   Rewrite{" ,", ","},
    Rewrite{" ' ", "'"},    Rewrite{" n't", "n't"}, Rewrite{" 'm", "'m"}, Rewrite{" 's", "'s"},
    Rewrite{" 've", "'ve"}, Rewrite{" 're", "'re"},
};
constexpr std::array kWordPieceCleanup = {
    Rewrite{" .", "."},     Rewrite{" ?", "?"},           Rewrite{" !", "!"},
    Rewrite{" ,", ","},     Rewrite{" ' ", "'"},          Rewrite{" n't", "n't"},
    Rewrite{" 'm", "'m"},   Rewrite{" do not", " don't"}, Rewrite{" 's", "'s"},
    Rewrite{" 've", "'ve"}, Rewrite{" 're", "'re"},
};

std::string word_piece_cleanup(std::string text) {
  for (const Rewrite& rewrite : kWordPieceCleanup)
    text = replace_all(text, rewrite.from, rewrite.to);
  return text;
}

// "<0x1F>" as a byte.
std::optional<char> byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + digit;
  }
  return static_cast<char>(value);
}

}  // namespace

// Tokens flow through as parts: all parts of a token but its last have TokenEnd::kOpen. A stage
// that joins tokens passes parts of one endless token on.
class DecodeChain::Stage {
 public:
  enum class TokenEnd { kOpen, kClosed };

  virtual ~Stage() = default;
  virtual void part(std::string_view text, TokenEnd end) = 0;
  virtual void finish() { next->finish(); }

  Stage* next = nullptr;

 protected:
  void pass(std::string_view text, TokenEnd end) { next->part(text, end); }
};

namespace {

using Stage = DecodeChain::Stage;
using TokenEnd = Stage::TokenEnd;

// For stages that need a whole token.
class WholeTokens : public Stage {
 public:
  void part(std::string_view text, TokenEnd end) final {
    if (end == TokenEnd::kClosed && held_.empty()) return token(text);
    held_ += text;
    if (end == TokenEnd::kOpen) return;
    const std::string whole = std::exchange(held_, {});
    token(whole);
  }

 protected:
  virtual void token(std::string_view text) = 0;

 private:
  std::string held_;
};

// Replaces a literal within one token, holding back no more than the beginning of a possible match.
class ReplaceLiteral final : public Stage {
 public:
  ReplaceLiteral(std::string_view from, std::string_view to) : from_(from), to_(to) {}

  void part(std::string_view text, TokenEnd end) override {
    if (from_.empty()) return pass(text, end);
    held_ += text;
    std::string out;
    size_t at = 0;
    for (size_t found; (found = held_.find(from_, at)) != std::string::npos;) {
      out.append(held_, at, found - at).append(to_);
      at = found + from_.size();
    }
    size_t keep = end == TokenEnd::kClosed ? 0 : std::min(from_.size() - 1, held_.size() - at);
    while (keep > 0 && !std::string_view(held_).ends_with(from_.substr(0, keep))) --keep;
    out.append(held_, at, held_.size() - keep - at);
    held_.erase(0, held_.size() - keep);
    pass(out, end);
  }

 private:
  std::string_view from_;
  std::string_view to_;
  std::string held_;
};

class ReplaceRegex final : public WholeTokens {
 public:
  ReplaceRegex(const Regex& regex, std::string_view to) : regex_(regex), to_(to) {}

 private:
  void token(std::string_view text) override {
    pass(replace_all(text, regex_, to_, *scratch_), TokenEnd::kClosed);
  }

  const Regex& regex_;
  std::string_view to_;
  RegexScratchPtr scratch_ = make_regex_scratch();
};

// GPT-2's alphabet to bytes to characters; an invalid sequence becomes U+FFFD.
class ByteLevelStage final : public WholeTokens {
 public:
  void finish() override {
    std::string out;
    if (!bytes_.empty()) out = to_valid_utf8(bytes_);
    pass(out, TokenEnd::kClosed);
    Stage::finish();
  }

 private:
  void token(std::string_view text) override {
    const auto bytes = bytes_of_chars(text);
    bytes_ += bytes ? std::string_view(*bytes) : text;
    std::string out;
    size_t at = 0;
    while (at < bytes_.size()) {
      const std::string_view rest = std::string_view(bytes_).substr(at);
      const Char c = decode_char(rest);
      if (c.truncated) break;
      out += c.valid ? rest.substr(0, c.bytes) : kReplacementUtf8;
      at += c.bytes;
    }
    bytes_.erase(0, at);
    pass(out, TokenEnd::kOpen);
  }

  std::string bytes_;
};

// A run of byte tokens is text if it is valid UTF-8 as a whole, else one U+FFFD a byte; so the run
// is held until it ends.
class ByteFallbackStage final : public WholeTokens {
 public:
  void finish() override {
    flush();
    Stage::finish();
  }

 private:
  void token(std::string_view text) override {
    if (const auto byte = byte_token(text)) {
      run_ += *byte;
      return;
    }
    flush();
    pass(text, TokenEnd::kClosed);
  }

  void flush() {
    if (run_.empty()) return;
    const std::string run = std::exchange(run_, {});
    if (is_valid_utf8(run)) return pass(run, TokenEnd::kClosed);
    for (size_t i = 0; i < run.size(); ++i) pass(kReplacementUtf8, TokenEnd::kClosed);
  }

  std::string run_;
};

class FuseStage final : public Stage {
 public:
  void part(std::string_view text, TokenEnd) override { pass(text, TokenEnd::kOpen); }
  void finish() override {
    pass({}, TokenEnd::kClosed);
    Stage::finish();
  }
};

// Cuts up to `start` and `stop` copies of one character off the ends of each token.
class StripStage final : public Stage {
 public:
  explicit StripStage(const dec::Strip& spec) : spec_(spec) {}

  void part(std::string_view text, TokenEnd end) override {
    while (in_front_ && cut_ < spec_.start && text.starts_with(spec_.content)) {
      text.remove_prefix(spec_.content.size());
      ++cut_;
    }
    if (!text.empty()) in_front_ = false;
    held_ += text;
    std::string_view rest = held_;
    std::string_view tail = rest;
    for (int i = 0; i < spec_.stop && tail.ends_with(spec_.content); ++i) {
      tail.remove_suffix(spec_.content.size());
    }
    const std::string out(tail);
    held_.erase(0, tail.size());
    if (end == TokenEnd::kClosed) {
      held_.clear();
      in_front_ = true;
      cut_ = 0;
    }
    pass(out, end);
  }

 private:
  const dec::Strip& spec_;
  std::string held_;  // what may turn out to be the end
  bool in_front_ = true;
  int cut_ = 0;
};

// Spaces for the replacement character; in the first token nothing for it, where a prefix was
// added.
class MetaspaceStage final : public WholeTokens {
 public:
  explicit MetaspaceStage(const dec::Metaspace& spec) : spec_(spec) {}

 private:
  void token(std::string_view text) override {
    const bool drops = first_ && spec_.prepend_scheme != PrependScheme::kNever;
    first_ = false;
    pass(replace_all(text, spec_.replacement, drops ? "" : " "), TokenEnd::kClosed);
  }

  const dec::Metaspace& spec_;
  bool first_ = true;
};

class WordPieceStage final : public WholeTokens {
 public:
  explicit WordPieceStage(const dec::WordPiece& spec) : spec_(spec) {}

 private:
  void token(std::string_view text) override {
    std::string word;
    if (first_) {
      word = text;
    } else if (text.starts_with(spec_.prefix)) {
      word = text.substr(spec_.prefix.size());
    } else {
      word.append(" ").append(text);
    }
    first_ = false;
    pass(spec_.cleanup ? word_piece_cleanup(std::move(word)) : word, TokenEnd::kClosed);
  }

  const dec::WordPiece& spec_;
  bool first_ = true;
};

// The end-of-word suffix is a space, but at the end of the text.
class BpeStage final : public WholeTokens {
 public:
  explicit BpeStage(const dec::Bpe& spec) : spec_(spec) {}

  void finish() override {
    if (held_) pass(replace_all(*held_, spec_.suffix, ""), TokenEnd::kClosed);
    Stage::finish();
  }

 private:
  void token(std::string_view text) override {
    if (held_) pass(replace_all(*held_, spec_.suffix, " "), TokenEnd::kClosed);
    held_ = text;
  }

  const dec::Bpe& spec_;
  std::optional<std::string> held_;
};

class CtcStage final : public WholeTokens {
 public:
  explicit CtcStage(const dec::Ctc& spec) : spec_(spec) {}

 private:
  void token(std::string_view text) override {
    if (previous_ == text) return;
    previous_ = text;
    std::string out = replace_all(text, spec_.pad_token, "");
    if (spec_.cleanup) {
      out = replace_all(word_piece_cleanup(std::move(out)), spec_.word_delimiter_token, " ");
    }
    if (!out.empty()) pass(out, TokenEnd::kClosed);
  }

  const dec::Ctc& spec_;
  std::optional<std::string> previous_;
};

class JoinWithSpaces final : public WholeTokens {
 private:
  void token(std::string_view text) override {
    if (!first_) pass(" ", TokenEnd::kClosed);
    first_ = false;
    pass(text, TokenEnd::kClosed);
  }

  bool first_ = true;
};

// The end of the chain. Tokens are over here: what matters is only their text.
class Output final : public Stage {
 public:
  void part(std::string_view text, TokenEnd) override { *out += text; }
  void finish() override {}

  std::string* out = nullptr;
};

std::unique_ptr<Stage> make_stage(const DecoderSpec& spec, const std::optional<Regex>& regex) {
  struct Visitor {
    const std::optional<Regex>& regex;

    std::unique_ptr<Stage> operator()(const dec::ByteLevel&) const {
      return std::make_unique<ByteLevelStage>();
    }
    std::unique_ptr<Stage> operator()(const dec::Metaspace& step) const {
      return std::make_unique<MetaspaceStage>(step);
    }
    std::unique_ptr<Stage> operator()(const dec::ByteFallback&) const {
      return std::make_unique<ByteFallbackStage>();
    }
    std::unique_ptr<Stage> operator()(const dec::Fuse&) const {
      return std::make_unique<FuseStage>();
    }
    std::unique_ptr<Stage> operator()(const dec::Strip& step) const {
      return std::make_unique<StripStage>(step);
    }
    std::unique_ptr<Stage> operator()(const dec::Replace& step) const {
      if (regex) return std::make_unique<ReplaceRegex>(*regex, step.content);
      return std::make_unique<ReplaceLiteral>(step.pattern.text, step.content);
    }
    std::unique_ptr<Stage> operator()(const dec::WordPiece& step) const {
      return std::make_unique<WordPieceStage>(step);
    }
    std::unique_ptr<Stage> operator()(const dec::Bpe& step) const {
      return std::make_unique<BpeStage>(step);
    }
    std::unique_ptr<Stage> operator()(const dec::Ctc& step) const {
      return std::make_unique<CtcStage>(step);
    }
  };
  return std::visit(Visitor{regex}, spec);
}

}  // namespace

Decoder::Decoder(const std::optional<std::vector<DecoderSpec>>& specs, Cleanup cleanup,
                 const std::string& where)
    : joins_with_spaces_(!specs.has_value()), cleanup_(cleanup) {
  if (!specs) return;
  for (const DecoderSpec& spec : *specs) {
    Step step{.spec = spec, .regex = {}};
    const auto* replace = std::get_if<dec::Replace>(&spec);
    if (replace != nullptr && replace->pattern.kind == Pattern::Kind::kRegex) {
      step.regex.emplace(replace->pattern.text, where);
    }
    steps_.push_back(std::move(step));
  }
}

std::string Decoder::bytes_of(std::string_view token_text) const {
  struct Visitor {
    std::string text;
    const std::optional<Regex>& regex;
    bool& is_bytes;

    std::string operator()(const dec::ByteLevel&) {
      is_bytes = true;
      return bytes_of_chars(text).value_or(text);
    }
    std::string operator()(const dec::Metaspace& step) {
      return replace_all(text, step.replacement, " ");
    }
    std::string operator()(const dec::ByteFallback&) {
      const auto byte = byte_token(text);
      if (!byte) return text;
      is_bytes = true;
      return std::string(1, *byte);
    }
    std::string operator()(const dec::Fuse&) { return text; }
    std::string operator()(const dec::Strip&) { return text; }
    std::string operator()(const dec::Replace& step) {
      if (!regex) return replace_all(text, step.pattern.text, step.content);
      return replace_all(text, *regex, step.content, *make_regex_scratch());
    }
    std::string operator()(const dec::WordPiece& step) {
      if (text.starts_with(step.prefix)) return text.substr(step.prefix.size());
      return " " + text;
    }
    std::string operator()(const dec::Bpe& step) { return replace_all(text, step.suffix, " "); }
    std::string operator()(const dec::Ctc& step) {
      return replace_all(replace_all(text, step.pad_token, ""), step.word_delimiter_token, " ");
    }
  };
  std::string text(token_text);
  if (joins_with_spaces_) return " " + text;
  bool is_bytes = false;  // raw bytes are final: later steps work on characters
  for (const Step& step : steps_) {
    if (is_bytes) break;
    text = std::visit(Visitor{text, step.regex, is_bytes}, step.spec);
  }
  return text;
}

DecodeChain::DecodeChain(const Decoder& decoder) {
  for (const Decoder::Step& step : decoder.steps_) {
    stages_.push_back(make_stage(step.spec, step.regex));
  }
  if (decoder.joins_with_spaces_) stages_.push_back(std::make_unique<JoinWithSpaces>());
  if (decoder.cleanup_ == Decoder::Cleanup::kOn) {
    stages_.push_back(std::make_unique<FuseStage>());  // spaces meet across tokens
    for (const Rewrite& rewrite : kCleanup) {
      stages_.push_back(std::make_unique<ReplaceLiteral>(rewrite.from, rewrite.to));
    }
  }
  stages_.push_back(std::make_unique<Output>());
  for (size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->next = stages_[i + 1].get();
}

DecodeChain::~DecodeChain() = default;
DecodeChain::DecodeChain(DecodeChain&&) noexcept = default;

void DecodeChain::push(std::string_view token_text, std::string& out) {
  static_cast<Output&>(*stages_.back()).out = &out;
  stages_.front()->part(token_text, TokenEnd::kClosed);
}

void DecodeChain::finish(std::string& out) {
  static_cast<Output&>(*stages_.back()).out = &out;
  stages_.front()->finish();
}

}  // namespace hearth::tokenizer
