#include "serve/generation.h"

#include <span>
#include <utility>

#include "base/check.h"

namespace hearth::serve {

// Holds the generation alive while the engine works for it.
class Generation::PromptSink final : public EngineSink {
 public:
  PromptSink(std::shared_ptr<Generation> owner, size_t prompt)
      : owner_(std::move(owner)), prompt_(prompt) {}
  void on_news(News news) override { owner_->receive({prompt_, std::move(news), {}}); }
  void on_admission(engine::Admission admission) override {
    owner_->receive({prompt_, {}, std::move(admission)});
  }

 private:
  const std::shared_ptr<Generation> owner_;
  const size_t prompt_;
};

Generation::Generation(EngineLoop& engine, const TextCodec& codec, Executor& executor)
    : engine_(engine), codec_(codec), serial_(std::make_shared<Serial>(executor)) {}

Generation::~Generation() {
  if (surface_ && unfinished_ > 0 && !refused_) surface_->on_abandoned(totals_);
}

engine::Admission Generation::start(GenerationRequest request, std::unique_ptr<Surface> surface,
                                    Nanos arrived) {
  CHECK(!request.prompts.empty(), "a generation without a prompt");
  surface_ = std::move(surface);
  choices_per_prompt_ = request.prompts[0].choices;
  prices_ = request.prices;
  token_ids_ = request.token_ids;
  const SpecialTokens special =
      request.skip_special_tokens ? SpecialTokens::kSkip : SpecialTokens::kKeep;
  for (engine::Request& prompt : request.prompts) {
    prompt.id = engine_.next_id();
    ids_.push_back(prompt.id);
    prompts_.push_back({prompt.adapter, static_cast<int32_t>(prompt.prompt.size())});
    // A reply is a text of its own; a completion goes on with one.
    const std::span<const TokenId> before = request.parsers.empty()
                                                ? std::span<const TokenId>(prompt.prompt)
                                                : std::span<const TokenId>();
    for (int32_t c = 0; c < choices_per_prompt_; ++c) {
      ChoiceDecoder::Setup setup{request.stops, prompt.min_tokens,
                                 request.logprobs ? Logprobs::kYes : Logprobs::kNo};
      Choice choice;
      choice.decoder =
          std::make_unique<ChoiceDecoder>(codec_, codec_.stream(before, special), std::move(setup));
      if (!request.parsers.empty()) choice.parser = std::move(request.parsers[choices_.size()]);
      choices_.push_back(std::move(choice));
    }
  }
  unfinished_ = static_cast<int32_t>(choices_.size());
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    auto sink = std::make_shared<PromptSink>(shared_from_this(), i);
    auto meter = request.meters.empty() ? nullptr : std::move(request.meters[i]);
    engine::Admission admission =
        engine_.submit({std::move(request.prompts[i]), arrived, std::move(sink), std::move(meter)});
    if (admission.accepted()) continue;
    cancel();
    return admission;
  }
  return {};
}

void Generation::cancel() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(canceled_, true)) return;
    inbox_.clear();
  }
  for (const engine::RequestId id : ids_) engine_.cancel(id);
  let_go();
}

void Generation::resume() {
  serial_->post([self = shared_from_this()] { self->drain(); });
}

void Generation::receive(Incoming incoming) {
  {
    const std::lock_guard lock(mutex_);
    if (canceled_ || done_) return;
    // The engine is about to forget the sink, and with it this; the client may still be listening.
    if (incoming.news.request_done) self_ = shared_from_this();
    inbox_.push_back(std::move(incoming));
    if (inbox_.size() > 1) return;  // a drain is on its way
  }
  serial_->post([self = shared_from_this()] { self->drain(); });
}

void Generation::drain() {
  {
    const std::lock_guard lock(mutex_);
    if (canceled_) return waiting_.clear();
    waiting_.insert(waiting_.end(), std::make_move_iterator(inbox_.begin()),
                    std::make_move_iterator(inbox_.end()));
    inbox_.clear();
  }
  size_t told = 0;
  while (told < waiting_.size() && surface_->writable()) take(std::move(waiting_[told++]));
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(told));
}

void Generation::take(Incoming incoming) {
  if (refused_) return;
  if (incoming.admission) return take_admission(*incoming.admission);
  News& news = incoming.news;
  const size_t prompt = incoming.prompt;
  if (!news.pooled.empty()) {
    surface_->on_vector(static_cast<int32_t>(prompt), std::move(news.pooled));
  }
  if (!prompts_[prompt].counted) count_prompt(prompts_[prompt], news.usage);
  if (!news.prompt.empty()) {
    std::vector<TokenText> tokens;
    for (const auto& token : news.prompt) tokens.push_back(describe(token, codec_));
    surface_->on_prompt_logprobs(static_cast<int32_t>(prompt), std::move(tokens));
  }
  take_tokens(static_cast<int32_t>(prompt) * choices_per_prompt_ + news.choice, prompt, news);
}

void Generation::take_admission(const engine::Admission& admission) {
  if (!admission.accepted()) return refuse_all(admission);
  if (++admitted_ == prompts_.size()) surface_->on_admitted();
}

void Generation::count_prompt(Prompt& prompt, const engine::Usage& usage) {
  prompt.counted = true;
  totals_.prompt_tokens += usage.prompt_tokens;
  totals_.cached_tokens += usage.cached_tokens;
  totals_.cost += prices_.of_prompt(usage.cached_tokens, usage.prompt_tokens, prompt.adapter);
}

void Generation::count_token(Choice& choice, const Prompt& prompt) {
  ++totals_.output_tokens;
  totals_.cost += prices_.of_tokens(prompt.tokens + choice.tokens++, 1, prompt.adapter);
}

void Generation::take_tokens(int32_t index, size_t prompt, const News& news) {
  Choice& choice = choices_.at(static_cast<size_t>(index));
  if (choice.ended) return;
  Decoded decoded;
  std::vector<TokenId> ids;
  for (const engine::SampledToken& token : news.tokens) {
    count_token(choice, prompts_[prompt]);
    ids.push_back(token.token);
    if (token.token == news.stop_token && &token == &news.tokens.back()) break;
    Decoded more = choice.decoder->feed(token);
    decoded.text += more.text;
    std::move(more.tokens.begin(), more.tokens.end(), std::back_inserter(decoded.tokens));
    if (choice.decoder->stop_string()) break;
  }
  if (const auto& stop = choice.decoder->stop_string()) {
    tell(index, std::move(decoded), std::move(ids));
    if (news.finish == engine::FinishReason::kNone) {
      engine_.finish(ids_[prompt], news.choice, engine::FinishReason::kStop);
    }
    return end_choice(index, {index, engine::FinishReason::kStop, stop, {}, {}});
  }
  if (news.finish == engine::FinishReason::kNone) {
    return tell(index, std::move(decoded), std::move(ids));
  }
  Decoded rest = choice.decoder->finish();
  decoded.text += rest.text;
  std::move(rest.tokens.begin(), rest.tokens.end(), std::back_inserter(decoded.tokens));
  tell(index, std::move(decoded), std::move(ids));
  ChoiceEnd end{index, news.finish, choice.decoder->stop_string(), {}, news.error};
  if (news.stop_token != engine::kNoToken) end.stop_token = news.stop_token;
  if (end.stop_string) end.reason = engine::FinishReason::kStop;
  end_choice(index, std::move(end));
}

void Generation::tell(int32_t index, Decoded decoded, std::vector<TokenId> ids) {
  Piece piece{index, {}, std::move(decoded.tokens), {}};
  Choice& choice = choices_[static_cast<size_t>(index)];
  if (choice.parser) {
    const bool reasoned = choice.parser->reasoning();
    piece.parts = choice.parser->feed(decoded.text);
    if (reasoned && choice.parser->reasoning()) {
      totals_.reasoning_tokens += static_cast<int32_t>(ids.size());
    }
  } else if (!decoded.text.empty()) {
    piece.parts.push_back({ReplyPart::Kind::kText, std::move(decoded.text), 0, {}});
  }
  if (token_ids_) piece.token_ids = std::move(ids);
  if (piece.parts.empty() && piece.tokens.empty() && piece.token_ids.empty()) return;
  surface_->on_piece(std::move(piece));
}

void Generation::end_choice(int32_t index, ChoiceEnd end) {
  Choice& choice = choices_[static_cast<size_t>(index)];
  choice.ended = true;
  if (choice.parser) {
    Piece piece{index, choice.parser->finish(), {}, {}};
    if (!piece.parts.empty()) surface_->on_piece(std::move(piece));
  }
  surface_->on_end(end);
  --unfinished_;
  finish_if_done();
}

void Generation::refuse_all(const engine::Admission& refusal) {
  refused_ = true;
  surface_->on_refused(refusal);
  cancel();
}

void Generation::finish_if_done() {
  if (unfinished_ > 0) return;
  surface_->on_done(totals_);
  let_go();
}

void Generation::let_go() {
  std::shared_ptr<Generation> self;  // dies after the lock is gone
  const std::lock_guard lock(mutex_);
  done_ = true;
  self = std::move(self_);
}

}  // namespace hearth::serve
