#include "serve/fake_model.h"

#include <algorithm>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"

namespace hearth::serve {

using io::Json;

namespace {

// Bytes of characters that are not complete yet.
size_t incomplete_tail(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if (c < 0x80) return 0;
    if (c < 0xC0) continue;
    const size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

class ByteStream final : public TextStream {
 public:
  explicit ByteStream(const TextCodec& codec) : codec_(codec) {}
  std::string feed(TokenId token) override {
    if (token < 256) held_ += codec_.token_bytes(token);
    const size_t keep = incomplete_tail(held_);
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, out.size());
    return out;
  }
  std::string finish() override { return std::exchange(held_, {}); }

 private:
  const TextCodec& codec_;
  std::string held_;
};

class ByteCodec final : public TextCodec {
 public:
  std::vector<TokenId> encode(std::string_view text, PromptEdges edges) const override {
    std::vector<TokenId> out;
    if (edges == PromptEdges::kAdd) out.push_back(kFakeBegin);
    for (const char c : text) out.push_back(static_cast<unsigned char>(c));
    return out;
  }
  std::string decode(std::span<const TokenId> tokens, SpecialTokens special) const override {
    std::string out;
    for (const TokenId token : tokens) {
      if (token < 256 || special == SpecialTokens::kKeep) out += token_bytes(token);
    }
    return out;
  }
  std::unique_ptr<TextStream> stream(std::span<const TokenId>, SpecialTokens) const override {
    return std::make_unique<ByteStream>(*this);
  }
  std::string token_bytes(TokenId token) const override {
    if (token == kFakeEnd) return "<end>";
    if (token == kFakeBegin) return "<begin>";
    return {static_cast<char>(token)};
  }
  int32_t vocab_size() const override { return kFakeVocab; }
};

// Takes out <think> and <call>; a tag that may be coming is held back.
class TagParser final : public ReplyParser {
 public:
  std::vector<ReplyPart> feed(std::string_view text) override {
    held_ += text;
    std::vector<ReplyPart> out;
    while (step(out)) {
    }
    return out;
  }

  std::vector<ReplyPart> finish() override {
    std::vector<ReplyPart> out;
    if (inside_ != kCall) emit(out, held_);
    held_.clear();
    return out;
  }

  bool reasoning() const override { return inside_ == kThink; }

 private:
  enum Inside { kText, kThink, kCall };

  bool step(std::vector<ReplyPart>& out) {
    if (inside_ == kCall) return take_call(out);
    static constexpr std::pair<std::string_view, Inside> kTags[] = {
        {"<think>", kThink}, {"</think>", kText}, {"<call>", kCall}};
    const size_t at = held_.find('<');
    emit(out, held_.substr(0, at));
    held_.erase(0, std::min(at, held_.size()));
    for (const auto& [tag, next] : kTags) {
      if (held_.starts_with(tag)) {
        held_.erase(0, tag.size());
        inside_ = next;
        return true;
      }
      if (tag.starts_with(held_)) return false;
    }
    emit(out, held_.substr(0, 1));
    held_.erase(0, 1);
    return !held_.empty();
  }

  bool take_call(std::vector<ReplyPart>& out) {
    const size_t end = held_.find("</call>");
    if (end == std::string::npos) return false;
    const size_t space = std::min(held_.find(' '), end);
    const int index = calls_++;
    out.push_back({ReplyPart::Kind::kToolCall, {}, index, held_.substr(0, space)});
    const std::string arguments = space < end ? held_.substr(space + 1, end - space - 1) : "{}";
    out.push_back({ReplyPart::Kind::kToolArguments, arguments, index, {}});
    held_.erase(0, end + 7);
    inside_ = kText;
    return true;
  }

  void emit(std::vector<ReplyPart>& out, std::string text) const {
    const auto kind = inside_ == kThink ? ReplyPart::Kind::kReasoning : ReplyPart::Kind::kText;
    if (!text.empty()) out.push_back({kind, std::move(text), 0, {}});
  }

  std::string held_;
  Inside inside_ = kText;
  int calls_ = 0;
};

class LineChat final : public ChatFormat {
 public:
  explicit LineChat(std::shared_ptr<const TextCodec> codec) : codec_(std::move(codec)) {}

  ChatPrompt prompt(const ChatInput& input) const override {
    ChatPrompt out;
    for (const Json& message : *input.messages) {
      out.text += "<" + message.at("role").get<std::string>() + ">";
      out.text += message.at("content").get<std::string>() + "\n";
    }
    if (input.tools) out.text += fmt::format("({} tools)\n", input.tools->size());
    if (input.add_generation_prompt) out.text += "<assistant>";
    out.tokens = codec_->encode(out.text, PromptEdges::kAdd);
    return out;
  }

  std::unique_ptr<ReplyParser> parser(const ToolRules&, std::string_view) const override {
    return std::make_unique<TagParser>();
  }

 private:
  const std::shared_ptr<const TextCodec> codec_;
};

// Allows one text and then the end.
class ForcedText final : public engine::TokenConstraint {
 public:
  explicit ForcedText(std::string text) : text_(std::move(text)) {}
  void fill(std::span<uint32_t> allowed) override {
    std::fill(allowed.begin(), allowed.end(), 0u);
    const auto next = static_cast<size_t>(expected());
    allowed[next / 32] |= 1u << next % 32;
  }
  bool accept(TokenId token) override {
    if (token != expected()) return false;
    ++at_;
    return true;
  }
  bool finished() const override { return at_ >= text_.size(); }

 private:
  TokenId expected() const {
    return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : kFakeEnd;
  }

  const std::string text_;
  size_t at_ = 0;
};

class ForcedTexts final : public ConstraintCompiler {
 public:
  std::shared_ptr<engine::TokenConstraint> compile(const ConstraintSpec& spec,
                                                   const std::string& field) const override {
    switch (spec.kind) {
      case ConstraintSpec::Kind::kChoice:
        if (spec.choices.empty()) break;
        return std::make_shared<ForcedText>(spec.choices[0]);
      case ConstraintSpec::Kind::kJsonSchema:
        io::parse_json(spec.text, field);
        return std::make_shared<ForcedText>("{\"ok\":true}");
      case ConstraintSpec::Kind::kJsonObject:
        return std::make_shared<ForcedText>("{}");
      case ConstraintSpec::Kind::kRegex:
      case ConstraintSpec::Kind::kGrammar:
        return std::make_shared<ForcedText>("held to it");
    }
    throw_error(ErrorCode::kInvalidArgument, field, "'{}': expected at least one choice", field);
  }

  std::shared_ptr<engine::TokenConstraint> compile_tools(const ToolRules& rules) const override {
    const std::string name = rules.use == ToolUse::kNamed
                                 ? rules.named
                                 : rules.tools->at(0)["function"]["name"].get<std::string>();
    return std::make_shared<ForcedText>("<call>" + name + " {\"forced\":1}</call>");
  }
};

std::string reply_to(std::span<const TokenId> prompt) {
  const std::string text = ByteCodec().decode(prompt, SpecialTokens::kSkip);
  const size_t at = text.rfind("say ");
  if (at == std::string::npos) return "Hello, world!";
  const size_t begin = at + 4;
  return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
}

TokenId free_choice(const engine::StepSequence& sequence) {
  const auto prompt_tokens = static_cast<size_t>(sequence.prompt_tokens);
  std::string reply = reply_to(sequence.tokens.first(prompt_tokens));
  if (sequence.adapter != engine::kBaseModel && reply != "forever") {
    reply = fmt::format("[{}] {}", sequence.adapter, reply);
  }
  const size_t at = sequence.tokens.size() - prompt_tokens;
  if (reply == "forever") return 'a' + static_cast<TokenId>(at % 26);
  return at < reply.size() ? static_cast<unsigned char>(reply[at]) : kFakeEnd;
}

TokenId choose(const engine::StepSequence& sequence) {
  TokenId token = free_choice(sequence);
  if (std::find(sequence.banned.begin(), sequence.banned.end(), token) != sequence.banned.end()) {
    token = '.';
  }
  if (!sequence.constraint) return token;
  std::vector<uint32_t> allowed((kFakeVocab + 31) / 32);
  sequence.constraint->fill(allowed);
  const auto may = [&](TokenId id) { return allowed[static_cast<size_t>(id) / 32] >> id % 32 & 1; };
  for (TokenId id = 0; !may(token) && id < kFakeVocab; ++id) token = id;
  return token;
}

// The chosen token at -0.5, then its successors in the vocabulary at -1.5, -2.5, ...
engine::SampledToken with_logprobs(TokenId token, int32_t count) {
  engine::SampledToken out;
  out.token = token;
  if (count < 0) return out;
  out.logprob = -0.5f;
  out.rank = 1;
  for (int32_t i = 0; i < count; ++i) {
    out.top.push_back({(token + i) % kFakeVocab, -0.5f - static_cast<float>(i)});
  }
  return out;
}

engine::SequenceResult compute(const engine::StepSequence& sequence) {
  engine::SequenceResult out;
  if (sequence.want == engine::Want::kToken) {
    out.sampled.push_back(with_logprobs(choose(sequence), sequence.sampling->logprobs));
  }
  if (sequence.want == engine::Want::kPooled) {
    const auto tokens = static_cast<float>(sequence.tokens.size());
    out.pooled = {tokens, static_cast<float>(sequence.tokens.back()), 0, 1};
  }
  if (sequence.sampling->prompt_logprobs < 0) return out;
  for (int32_t row = sequence.computed; row < sequence.computed + sequence.count; ++row) {
    if (row + 1 >= sequence.prompt_tokens) break;
    out.prompt.push_back(with_logprobs(sequence.tokens[static_cast<size_t>(row) + 1],
                                       sequence.sampling->prompt_logprobs));
  }
  return out;
}

}  // namespace

AdapterInfo FakeAdapters::open(engine::AdapterId adapter, const std::string& folder) {
  io::read_file(folder + "/adapter_config.json");
  known_.insert(adapter);
  return {.pages = 1, .parameters = 100, .bytes = 400, .rank = 8, .base_model = "fake"};
}

AdapterTier FakeAdapters::tier_of(engine::AdapterId adapter) const {
  return in_memory_.contains(adapter) ? AdapterTier::kMemory : AdapterTier::kStored;
}

void FakeAdapters::obey(const engine::AdapterOrder& order) {
  if (order.kind == engine::AdapterOrder::Kind::kForget) known_.erase(order.adapter);
  if (order.kind == engine::AdapterOrder::Kind::kEvict) in_memory_.erase(order.adapter);
  if (order.kind != engine::AdapterOrder::Kind::kLoad) return;
  loading_.push_back(order.adapter);
  if (!held_) finish();
}

void FakeAdapters::finish(const std::string& error) {
  for (const engine::AdapterId adapter : std::exchange(loading_, {})) {
    if (error.empty()) in_memory_.insert(adapter);
    loaded_(adapter, error);
  }
}

engine::StepResult FakeRunner::run(const engine::StepPlan& plan) {
  for (const engine::AdapterOrder& order : plan.adapters) adapters_->obey(order);
  if (!failure_.empty()) throw Error(ErrorCode::kInternal, failure_, "fake runner");
  engine::StepResult result;
  for (const engine::StepSequence& sequence : plan.sequences) {
    result.sequences.push_back(compute(sequence));
  }
  return result;
}

ModelHandle fake_model() {
  ModelHandle model;
  model.name = "fake";
  model.codec = std::make_shared<ByteCodec>();
  model.chat = std::make_shared<LineChat>(model.codec);
  model.constraints = std::make_shared<ForcedTexts>();
  model.end_tokens = {kFakeEnd};
  model.embedding_dimension = kFakeDimension;
  return model;
}

}  // namespace hearth::serve
