// One request for text on its way through the engine: prompts in, pieces of replies out. The API's
// surfaces (chat, completions, responses, messages) all stand on this.
//
// Everything but cancel() runs on the generation's Serial. When the client's connection is full the
// news waits in the inbox as tokens, which is small and bounded by the context; the engine goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "serve/api_error.h"
#include "serve/choice_decoder.h"
#include "serve/engine_loop.h"
#include "serve/executor.h"
#include "serve/language.h"

namespace hearth::serve {

struct GenerationRequest {
  // One entry for each prompt; all with the same `choices`. Choice c of prompt p is told as p *
  // choices + c. Ids are given by the generation.
  std::vector<engine::Request> prompts;
  std::vector<std::string> stops;
  bool skip_special_tokens = true;
  bool logprobs = false;
  bool token_ids = false;  // pieces carry the ids of their tokens
  // One for each prompt, or none.
  std::vector<std::shared_ptr<RequestMeter>> meters;
  // What its tokens are worth.
  engine::TokenPrices prices;
  // One for each choice of each prompt, or none: replies are plain text.
  std::vector<std::unique_ptr<ReplyParser>> parsers;
};

// What one choice said, in the order it came.
struct Piece {
  int32_t choice = 0;
  std::vector<ReplyPart> parts;
  std::vector<TokenText> tokens;
  std::vector<TokenId> token_ids;  // where asked for; also those whose text is held back
};

struct ChoiceEnd {
  int32_t choice = 0;
  engine::FinishReason reason = engine::FinishReason::kNone;
  std::optional<std::string> stop_string;
  std::optional<TokenId> stop_token;
  std::string error;  // with kError
};

struct Totals {
  int32_t prompt_tokens = 0;
  int32_t cached_tokens = 0;
  int32_t output_tokens = 0;
  int32_t reasoning_tokens = 0;  // of the output, between the marks of reasoning
  engine::Cost cost = 0;         // of all these tokens
};

// One API's way to tell a generation. First the engine takes it or refuses it; then pieces, one end
// for each choice, and done().
class Surface {
 public:
  virtual ~Surface() = default;
  // The engine has taken every prompt: from now on the answer is under way.
  virtual void on_admitted() {}
  virtual void on_prompt_logprobs(int32_t prompt, std::vector<TokenText> tokens) = 0;
  virtual void on_piece(Piece piece) = 0;
  // The answer to a prompt with pooling.
  virtual void on_vector(int32_t /*prompt*/, std::vector<float> /*vector*/) {}
  virtual void on_end(const ChoiceEnd& end) = 0;
  virtual void on_done(const Totals& totals) = 0;
  virtual void on_refused(const engine::Admission& refusal) = 0;
  // Instead of on_done(), when nobody listens any more: what it took so far. On any thread; last.
  virtual void on_abandoned(const Totals& /*totals*/) {}
  // False: the client cannot take more now; resume() follows.
  virtual bool writable() = 0;
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(EngineLoop& engine, const TextCodec& codec, Executor& executor);
  ~Generation();

  // Hands the prompts to the engine. A refusal of the first is returned; the surface hears nothing
  // then.
  engine::Admission start(GenerationRequest request, std::unique_ptr<Surface> surface,
                          Nanos arrived);
  // Any thread: the client is gone.
  void cancel();
  // Any thread: the client takes more again.
  void resume();

 private:
  class PromptSink;
  struct Incoming {
    size_t prompt = 0;
    News news;
    std::optional<engine::Admission> admission;  // instead of news
  };
  struct Choice {
    std::unique_ptr<ChoiceDecoder> decoder;
    std::unique_ptr<ReplyParser> parser;
    int32_t tokens = 0;
    bool ended = false;
  };
  struct Prompt {
    engine::AdapterId adapter = engine::kBaseModel;
    int32_t tokens = 0;
    bool counted = false;
  };

  void receive(Incoming incoming);
  void drain();
  void take(Incoming incoming);
  void take_admission(const engine::Admission& admission);
  void count_prompt(Prompt& prompt, const engine::Usage& usage);
  void count_token(Choice& choice, const Prompt& prompt);
  void take_tokens(int32_t index, size_t prompt, const News& news);
  // `ids`: of the tokens that were decoded.
  void tell(int32_t index, Decoded decoded, std::vector<TokenId> ids);
  void end_choice(int32_t index, ChoiceEnd end);
  void refuse_all(const engine::Admission& refusal);
  void finish_if_done();
  void let_go();

  EngineLoop& engine_;
  const TextCodec& codec_;
  const std::shared_ptr<Serial> serial_;

  std::mutex mutex_;
  std::vector<Incoming> inbox_;  // guarded by mutex_
  bool canceled_ = false;        // likewise
  bool done_ = false;            // likewise: told to the end, or cancelled
  // From the engine's last word until the client has heard it. Likewise.
  std::shared_ptr<Generation> self_;
  std::vector<engine::RequestId> ids_;  // set before the first submission

  std::unique_ptr<Surface> surface_;
  std::vector<Incoming> waiting_;  // taken from the inbox, not told yet
  std::vector<Choice> choices_;
  int32_t choices_per_prompt_ = 1;
  std::vector<Prompt> prompts_;
  engine::TokenPrices prices_;
  bool token_ids_ = false;
  size_t admitted_ = 0;  // prompts
  Totals totals_;
  int32_t unfinished_ = 0;
  bool refused_ = false;
};

}  // namespace hearth::serve
