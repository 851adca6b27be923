// A model that guesses for itself is always right; one of other weights changes no answer.
#include "runner/draft_model.h"

#include <gtest/gtest.h>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "base/random.h"
#include "engine/scheduler.h"
#include "models/test_checkpoint.h"
#include "runner/cpu_runner.h"

namespace hearth::runner {
namespace {

using engine::GuessOrder;
using engine::TokenId;

class DraftModelTest : public testing::Test {
 protected:
  DraftModelTest() { params_.temperature = 0; }

  engine::EngineConfig config(int32_t guessed) const {
    engine::EngineConfig config;
    config.num_blocks = 64;
    config.max_model_len = 200;
    config.max_num_seqs = 4;
    config.max_num_batched_tokens = 64;
    config.max_guessed_tokens = guessed;
    return config;
  }
  engine::Request request(engine::RequestId id, int32_t prompt, int32_t max_tokens) const {
    engine::Request request;
    request.id = id;
    Random random(id);
    for (int32_t i = 0; i < prompt; ++i) {
      request.prompt.push_back(static_cast<TokenId>(random.below(uint64_t(vocabulary()))));
    }
    request.max_tokens = max_tokens;
    request.sampling = params_;
    return request;
  }
  int32_t vocabulary() const { return static_cast<int32_t>(model_->info.vocabulary); }

  // The answers to all, by request.
  std::vector<std::vector<TokenId>> answers(std::span<const engine::Request> requests,
                                            engine::Drafter* drafter) {
    CpuRunner runner(*model_, {.num_blocks = 64, .max_num_seqs = 4}, backend_.context());
    engine::Scheduler scheduler(config(drafter ? 5 : 0), nullptr, drafter);
    std::vector<std::vector<TokenId>> answers(requests.size());
    Nanos now = 0;
    for (const engine::Request& request : requests) {
      EXPECT_TRUE(scheduler.add(request, now).accepted());
    }
    while (scheduler.busy()) {
      const engine::StepPlan& plan = scheduler.plan(now);
      const engine::StepResult result = runner.run(plan);
      for (const engine::Output& output : scheduler.commit(result, ++now)) {
        for (const auto& token : output.tokens) answers[output.request - 1].push_back(token.token);
      }
    }
    stats_ = scheduler.stats();
    return answers;
  }
  DraftOptions options() const { return {.num_blocks = 96, .vocabulary = vocabulary()}; }

  models::TestCheckpoint checkpoint_ =
      models::test_checkpoint(HEARTH_SOURCE_DIR, "llama-long-text");
  io::MemoryFiles files_ = checkpoint_.files();
  std::unique_ptr<models::Model> model_ = models::load(files_, checkpoint_.options());
  backend::cpu::Backend backend_{{.threads = 2}};
  engine::SamplingParams params_;
  engine::Stats stats_;
};

TEST_F(DraftModelTest, AModelIsRightAboutItself) {
  for (const float temperature : {0.0f, 0.9f}) {
    params_.temperature = temperature;
    params_.seed = 5;
    const std::vector requests{request(1, 30, 60), request(2, 17, 60)};
    const auto alone = answers(requests, nullptr);
    DraftModel draft(*model_, options(), backend_.context());
    EXPECT_EQ(answers(requests, &draft), alone);
    EXPECT_GT(stats_.tokens_guessed, 40u);
    EXPECT_EQ(stats_.tokens_guessed_right, stats_.tokens_guessed);
  }
}

// Its weights are those of 4 bits, so it errs now and then.
TEST_F(DraftModelTest, WrongGuessesChangeNoAnswer) {
  const auto other = models::load(files_, {.quantize = models::Quantize::kQ4});
  params_.temperature = 1.2f;
  params_.repetition_penalty = 1.1f;
  std::vector<engine::Request> requests;
  for (engine::RequestId id = 1; id <= 6; ++id) {
    requests.push_back(request(id, 20 + 9 * static_cast<int32_t>(id), 70));
    requests.back().sampling.seed = id;
  }
  const auto alone = answers(requests, nullptr);
  DraftModel draft(*other, options(), backend_.context());
  EXPECT_EQ(answers(requests, &draft), alone);
  EXPECT_GT(stats_.tokens_guessed_right, 20u);
  EXPECT_LT(stats_.tokens_guessed_right, stats_.tokens_guessed);
}

// An order for the text, and what was guessed.
struct AskedDraft {
  AskedDraft(engine::RequestId request, std::vector<TokenId> text,
             const engine::SamplingParams& params, uint64_t salt = 0)
      : tokens(std::move(text)) {
    order = {.request = request,
             .tokens = tokens,
             .prompt_tokens = static_cast<int32_t>(tokens.size()),
             .sampling = &params,
             .cache_salt = salt,
             .most = 3,
             .guess = &guess};
  }
  std::vector<TokenId> tokens;
  std::vector<TokenId> guess;
  GuessOrder order;
};

std::vector<TokenId> draft_text(size_t length) {
  std::vector<TokenId> tokens(length);
  for (size_t i = 0; i < length; ++i) tokens[i] = static_cast<TokenId>(i * 7 % 50);
  return tokens;
}

TEST_F(DraftModelTest, ReadsALongTextInSeveralSteps) {
  DraftOptions few = options();
  few.read_tokens_max = 40;
  DraftModel draft(*model_, few, backend_.context());
  AskedDraft asked(1, draft_text(100), params_);
  EXPECT_EQ(draft.unread(asked.order), 100);
  EXPECT_EQ(draft.guess({&asked.order, 1}), 40);
  EXPECT_TRUE(asked.guess.empty());
  EXPECT_EQ(draft.unread(asked.order), 58);
  draft.guess({&asked.order, 1});
  EXPECT_EQ(draft.guess({&asked.order, 1}), 14);
  EXPECT_EQ(asked.guess.size(), 3u);

  DraftModel at_once(*model_, options(), backend_.context());
  AskedDraft same(1, draft_text(100), params_);
  at_once.guess({&same.order, 1});
  EXPECT_EQ(asked.guess, same.guess) << "chunks change no guess";
}

TEST_F(DraftModelTest, TheNextTurnGoesOnFromThisOneIfItsSaltIsTheSame) {
  DraftModel draft(*model_, options(), backend_.context());
  AskedDraft first(1, draft_text(60), params_, 7);
  draft.guess({&first.order, 1});
  AskedDraft next(2, draft_text(90), params_, 7);
  EXPECT_EQ(draft.unread(next.order), 90) << "the first goes on";
  draft.end(1, 0);
  EXPECT_EQ(draft.unread(next.order), 30);
  EXPECT_EQ(draft.unread(AskedDraft(3, draft_text(90), params_, 8).order), 90);
}

TEST_F(DraftModelTest, SeatsAndBlocksGoToWhoAskedLast) {
  DraftOptions few = options();
  few.seats = 2;
  few.num_blocks = 10;  // 160 tokens
  DraftModel draft(*model_, few, backend_.context());
  AskedDraft a(1, draft_text(70), params_), b(2, draft_text(71), params_),
      c(3, draft_text(60), params_);
  const GuessOrder three[] = {a.order, b.order, c.order};
  draft.guess(three);
  EXPECT_EQ(a.guess.size(), 3u);
  EXPECT_EQ(c.guess.size(), 0u) << "two seats";
  draft.guess({&c.order, 1});
  EXPECT_EQ(c.guess.size(), 3u);
  EXPECT_GT(draft.unread(a.order), 60);

  AskedDraft large(4, draft_text(150), params_);
  draft.guess({&large.order, 1});
  draft.guess({&large.order, 1});
  EXPECT_EQ(large.guess.size(), 3u);
  EXPECT_GT(draft.unread(c.order), 50) << "its blocks were needed";
}

TEST_F(DraftModelTest, SaysNothingAboutWhatItDoesNotKnow) {
  DraftModel draft(*model_, options(), backend_.context());
  AskedDraft foreign(1, {1, 2, vocabulary(), 3}, params_);
  EXPECT_EQ(draft.guess({&foreign.order, 1}), 0);
  EXPECT_TRUE(foreign.guess.empty());
  AskedDraft beyond(2, draft_text(static_cast<size_t>(model_->info.max_model_len)), params_);
  EXPECT_EQ(draft.guess({&beyond.order, 1}), 0);
  EXPECT_TRUE(beyond.guess.empty());

  DraftOptions narrow = options();
  narrow.vocabulary = 3;
  DraftModel narrowed(*model_, narrow, backend_.context());
  AskedDraft asked(3, draft_text(20), params_);
  narrowed.guess({&asked.order, 1});
  for (const TokenId token : asked.guess) EXPECT_LT(token, 3);
}

}  // namespace
}  // namespace hearth::runner
