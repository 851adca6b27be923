#include "serve/language_of_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "dialog/reply_format.h"
#include "dialog/reply_parser.h"
#include "grammar/grammar.h"
#include "grammar/grammar_cache.h"
#include "grammar/matcher.h"
#include "io/json.h"
#include "serve/scripted_constraint.h"
#include "tokenizer/stream_decoder.h"

namespace hearth::serve {

using io::Json;

namespace {

// Compiled grammars that are kept, with their masks.
constexpr size_t kGrammarBytesMax = size_t{512} << 20;

tokenizer::SkipSpecial to_skip(SpecialTokens special) {
  return special == SpecialTokens::kSkip ? tokenizer::SkipSpecial::kYes
                                         : tokenizer::SkipSpecial::kNo;
}

class DecoderStream final : public TextStream {
 public:
  DecoderStream(const tokenizer::Tokenizer& tokenizer, SpecialTokens special)
      : decoder_(std::in_place, tokenizer, to_skip(special)) {}

  // After text, what decoders do at its start (SentencePiece drops a space) is done already.
  static std::unique_ptr<DecoderStream> after(TokenId last, const tokenizer::Tokenizer& tokenizer,
                                              SpecialTokens special) {
    auto stream = std::make_unique<DecoderStream>(tokenizer, special);
    if (stream->feed(last).empty()) stream->decoder_.emplace(tokenizer, to_skip(special));
    return stream;
  }

  std::string feed(TokenId token) override { return decoder_->push(token); }
  std::string finish() override { return decoder_->finish(); }

 private:
  std::optional<tokenizer::StreamDecoder> decoder_;
};

class RealCodec final : public TextCodec {
 public:
  explicit RealCodec(std::shared_ptr<const tokenizer::Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}

  std::vector<TokenId> encode(std::string_view text, PromptEdges edges) const override {
    const bool add = edges == PromptEdges::kAdd;
    return tokenizer_->encode(text, add ? tokenizer::AddSpecial::kYes : tokenizer::AddSpecial::kNo);
  }
  std::string decode(std::span<const TokenId> tokens, SpecialTokens special) const override {
    return tokenizer_->decode(tokens, to_skip(special));
  }
  std::unique_ptr<TextStream> stream(std::span<const TokenId> before,
                                     SpecialTokens special) const override {
    if (!before.empty()) return DecoderStream::after(before.back(), *tokenizer_, special);
    return std::make_unique<DecoderStream>(*tokenizer_, special);
  }
  std::string token_bytes(TokenId token) const override {
    return std::string(tokenizer_->is_special(token) ? tokenizer_->token_text(token)
                                                     : tokenizer_->token_bytes(token));
  }
  int32_t vocab_size() const override { return tokenizer_->vocab_size(); }

 private:
  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
};

class PartsOfReply final : public ReplyParser {
 public:
  explicit PartsOfReply(dialog::ReplyParser parser) : parser_(std::move(parser)) {}
  std::vector<ReplyPart> feed(std::string_view text) override {
    return convert(parser_.feed(text));
  }
  std::vector<ReplyPart> finish() override { return convert(parser_.finish()); }
  bool reasoning() const override { return parser_.reasoning(); }

 private:
  static ReplyPart::Kind to_kind(dialog::Part::Kind kind) {
    switch (kind) {
      case dialog::Part::Kind::kText:
        return ReplyPart::Kind::kText;
      case dialog::Part::Kind::kReasoning:
        return ReplyPart::Kind::kReasoning;
      case dialog::Part::Kind::kToolCall:
        return ReplyPart::Kind::kToolCall;
      case dialog::Part::Kind::kArguments:
        break;
    }
    return ReplyPart::Kind::kToolArguments;
  }
  static std::vector<ReplyPart> convert(std::vector<dialog::Part> parts) {
    std::vector<ReplyPart> out;
    for (dialog::Part& part : parts) {
      out.push_back(
          {to_kind(part.kind), std::move(part.text), part.tool_index, std::move(part.name)});
    }
    return out;
  }

  dialog::ReplyParser parser_;
};

class RealChat final : public ChatFormat {
 public:
  RealChat(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
           std::shared_ptr<const tokenizer::ChatTemplate> chat_template, const Clock& clock)
      : tokenizer_(std::move(tokenizer)),
        template_(std::move(chat_template)),
        clock_(clock),
        format_(dialog::detect_format(template_->source())),
        begins_with_bos_(begins_with_bos()) {}

  ChatPrompt prompt(const ChatInput& input) const override {
    // A template that knows no tools is shown them in words.
    const bool in_words = input.tools && !template_->capabilities().tools;
    const Json described =
        in_words ? dialog::describe_tools(*input.messages, *input.tools) : Json();
    tokenizer::ChatRender render{in_words ? described : *input.messages};
    render.tools = in_words ? nullptr : input.tools;
    render.kwargs = input.template_kwargs;
    render.add_generation_prompt = input.add_generation_prompt;
    render.continue_final_message = input.continue_final_message;
    render.now_seconds = clock_.wall() / kSecond;
    ChatPrompt out;
    out.text = template_->render(render);
    // Templates write the special tokens themselves, as transformers' apply_chat_template expects.
    const bool add = template_->is_fallback() && !begins_with_bos_;
    out.tokens = tokenizer_->encode(out.text,
                                    add ? tokenizer::AddSpecial::kYes : tokenizer::AddSpecial::kNo);
    return out;
  }

  std::unique_ptr<ReplyParser> parser(const ToolRules& rules,
                                      std::string_view prompt) const override {
    std::vector<dialog::ToolSignature> tools;
    if (rules.use != ToolUse::kNone && rules.tools) tools = dialog::signatures(*rules.tools);
    return std::make_unique<PartsOfReply>(dialog::ReplyParser(format_, std::move(tools), prompt));
  }

  bool marks_with_special_tokens() const override {
    return is_special(format_.think_start) || is_special(format_.think_end);
  }

  std::vector<std::string> stops() const override { return template_->stops(); }
  const dialog::ReplyFormat& format() const { return format_; }

 private:
  bool is_special(const std::string& mark) const {
    const int32_t id = mark.empty() ? -1 : tokenizer_->id_of(mark);
    return id >= 0 && tokenizer_->is_special(id);
  }

  bool begins_with_bos() const {
    const Json messages = Json::array({{{"role", "user"}, {"content", "x"}}});
    const std::string text = template_->render({messages});
    const int32_t bos = tokenizer_->bos_id();
    return bos >= 0 && text.starts_with(tokenizer_->token_text(bos));
  }

  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  const std::shared_ptr<const tokenizer::ChatTemplate> template_;
  const Clock& clock_;
  const dialog::ReplyFormat format_;
  const bool begins_with_bos_;
};

class MatcherConstraint final : public engine::TokenConstraint {
 public:
  explicit MatcherConstraint(std::shared_ptr<const grammar::Grammar> grammar)
      : matcher_(std::move(grammar)) {}
  void fill(std::span<uint32_t> allowed) override { matcher_.fill(allowed); }
  bool accept(TokenId token) override { return matcher_.accept(token); }
  bool finished() const override { return matcher_.finished(); }

 private:
  grammar::Matcher matcher_;
};

grammar::GrammarSource to_source(const ConstraintSpec& spec) {
  grammar::GrammarSource source;
  source.text = spec.text;
  source.choices = spec.choices;
  switch (spec.kind) {
    case ConstraintSpec::Kind::kJsonObject:
      source.kind = grammar::GrammarKind::kJsonObject;
      break;
    case ConstraintSpec::Kind::kJsonSchema:
      source.kind = grammar::GrammarKind::kJsonSchema;
      break;
    case ConstraintSpec::Kind::kRegex:
      source.kind = grammar::GrammarKind::kRegex;
      break;
    case ConstraintSpec::Kind::kChoice:
      source.kind = grammar::GrammarKind::kChoice;
      break;
    case ConstraintSpec::Kind::kGrammar:
      source.kind = grammar::GrammarKind::kGbnf;
      break;
  }
  return source;
}

class RealConstraints final : public ConstraintCompiler {
 public:
  RealConstraints(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                  std::shared_ptr<const RealChat> chat, const ModelTokens& model)
      : tokenizer_(std::move(tokenizer)),
        chat_(std::move(chat)),
        end_tokens_(model.ends),
        grammars_(make_vocabulary(model), kGrammarBytesMax) {}

  std::shared_ptr<engine::TokenConstraint> compile(const ConstraintSpec& spec,
                                                   const std::string& field) const override {
    try {
      return std::make_shared<MatcherConstraint>(grammars_.get(to_source(spec)));
    } catch (const Error& error) {
      throw Error(error.code, error.where.empty() ? error.text : error.where + ": " + error.text,
                  field);
    }
  }

  std::shared_ptr<engine::TokenConstraint> compile_tools(const ToolRules& rules) const override {
    const auto choice =
        rules.use == ToolUse::kNamed ? dialog::ToolChoice::kNamed : dialog::ToolChoice::kRequired;
    const auto calls = rules.parallel ? dialog::Calls::kMany : dialog::Calls::kOne;
    const dialog::ForcedFormat forced =
        dialog::forced_format(chat_->format().tools, *rules.tools, choice, rules.named, calls);
    grammar::GrammarSource source;
    source.kind = grammar::GrammarKind::kJsonSchema;
    source.text = forced.schema;
    return std::make_shared<ScriptedConstraint>(
        tokenizer_->encode(forced.prefix, tokenizer::AddSpecial::kNo), grammars_.get(source),
        tokenizer_->encode(forced.suffix, tokenizer::AddSpecial::kNo), end_tokens_);
  }

 private:
  std::shared_ptr<const grammar::Vocabulary> make_vocabulary(const ModelTokens& model) const {
    const int32_t size = std::min(tokenizer_->vocab_size(), model.vocabulary);
    std::vector<std::string> tokens;
    for (TokenId token = 0; token < size; ++token) {
      tokens.emplace_back(tokenizer_->token_bytes(token));
    }
    return std::make_shared<grammar::Vocabulary>(std::move(tokens), end_tokens_);
  }

  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  const std::shared_ptr<const RealChat> chat_;
  const std::vector<TokenId> end_tokens_;
  mutable grammar::GrammarCache grammars_;  // requests repeat their schemas
};

}  // namespace

Language make_language(std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                       std::shared_ptr<const tokenizer::ChatTemplate> chat_template,
                       const ModelTokens& model, const Clock& clock) {
  Language language;
  language.codec = std::make_shared<RealCodec>(tokenizer);
  const auto chat = std::make_shared<RealChat>(tokenizer, std::move(chat_template), clock);
  language.chat = chat;
  language.constraints = std::make_shared<RealConstraints>(tokenizer, chat, model);
  return language;
}

}  // namespace hearth::serve
