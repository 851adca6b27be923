// A small model of the same vocabulary that guesses for a large one (engine/drafter.h).
//
// It is asked as the large one will be: with the same sampling, seed and index of the token. Where
// both models think alike the same random number leads both to the same token, so texts that are
// drawn are guessed about as well as greedy ones. Penalties and bans it does not know; a guess that
// they change is a wrong one.
//
// It keeps keys and values of its own, a seat for each text, and reads what is new in a text when
// it is asked: a long one in several steps, so that none of them becomes long. Of a text that goes
// on from another one of the same salt (the next turn of a chat) the common start is not read
// again.
//
// The engine's thread calls it, between steps of the runner whose Context it shares.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/block_pool.h"
#include "engine/drafter.h"
#include "models/model.h"
#include "ops/context.h"
#include "runner/kv_storage.h"
#include "runner/sampler.h"

namespace hearth::runner {

struct DraftOptions {
  // Texts that it remembers at once; at least as many as are guessed at in a step.
  int32_t seats = 8;
  // Blocks of 16 tokens of its cache, for all seats.
  int32_t num_blocks = 1024;
  // Tokens of known texts that it reads in one step, about.
  int32_t read_tokens_max = 128;
  // Tokens that the large model knows, from 0.
  int32_t vocabulary = 0;
};

class DraftModel final : public engine::Drafter {
 public:
  // Everything outlives it.
  DraftModel(const models::Model& model, const DraftOptions& options, const ops::Context& context);

  int32_t unread(const engine::GuessOrder& order) const override;
  int32_t guess(std::span<const engine::GuessOrder> orders) override;
  void end(engine::RequestId request, int32_t choice) override;

 private:
  struct Seat {
    engine::RequestId request = 0;
    int32_t choice = 0;
    uint64_t cache_salt = 0;
    std::vector<engine::TokenId> text;  // whose keys and values are in `blocks`
    std::vector<engine::BlockId> blocks;
    uint64_t used = 0;  // the call that used it last; 0: empty
    bool ended = true;  // nobody goes on with it: others may
  };
  // What is done for one order in one call.
  struct Draft {
    const engine::GuessOrder* order = nullptr;
    Seat* seat = nullptr;
    int32_t count = 0;                  // tokens of the coming pass
    bool guesses = false;               // the last row of the coming pass chooses a token
    std::vector<engine::TokenId> text;  // all known tokens, and the guesses after them
  };

  const Seat* find(const engine::GuessOrder& order) const;
  Seat* take(const engine::GuessOrder& order);
  bool can_read(const engine::GuessOrder& order) const;
  bool make_room(Seat& seat, int32_t tokens);
  void empty(Seat& seat);
  int32_t begin(std::span<const engine::GuessOrder> orders);
  void pass();
  void choose(TensorView hidden);

  const models::Model& model_;
  const DraftOptions options_;
  ops::Context ctx_;
  KvStorage kv_;
  engine::BlockPool pool_;
  std::vector<Seat> seats_;
  std::vector<SamplerScratch> scratch_;  // one a worker
  uint64_t calls_ = 0;

  // The pass that is being made; kept for their memory.
  std::vector<Draft> drafts_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<ops::KvSequence> sequences_;
};

}  // namespace hearth::runner
