// What an adapter is tuned on: JSONL of conversations, texts or preferences, as tokens in memory.
//
//   {"messages": [{"role": ..., "content": ...}, ...]}          the assistant's turns are learned
//   {"prompt": "...", "completion": "..."}                      the completion is
//   {"text": "..."}                                             all of it is
//   {"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}
//   {"prompt": ..., "chosen": ..., "rejected": ...}             texts, or lists of messages
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/conversation.h"
#include "train/data_stream.h"

namespace hearth::train {

enum class TuneMethod : uint8_t {
  kSupervised,  // the learned tokens become likelier
  kPreference,  // the preferred reply becomes likelier than the other (DPO)
};

struct TuneExample {
  MarkedTokens text;   // or the preferred one
  MarkedTokens other;  // of kPreference: the one that was not preferred
};

struct TuneData {
  std::vector<TuneExample> examples;
  int64_t lines = 0;
  int64_t cut = 0;      // longer than the context; their end was left out
  int64_t dropped = 0;  // nothing in them to learn

  int64_t learned() const;
  // Names the tokens and the seed of their order.
  uint64_t fingerprint(uint64_t seed) const;
};

// Throws Error naming file and line. Texts longer than context + 1 tokens are cut.
TuneData read_tune_data(const std::vector<std::string>& paths, TuneMethod method,
                        const ConversationEncoder& encoder, int64_t context);

// Moves the share of `data`, chosen by the seed, into the result.
TuneData split_off(TuneData& data, double share, uint64_t seed);

// The examples of an epoch in an order of (seed, epoch) alone.
class TuneOrder {
 public:
  TuneOrder(int64_t examples, uint64_t seed);
  // The next `count`, fewer at the end of an epoch.
  std::vector<int64_t> take(int64_t count);
  const DataPosition& position() const { return position_; }
  void seek(const DataPosition& position);

 private:
  void shuffle();

  uint64_t seed_;
  std::vector<int64_t> order_;
  DataPosition position_;
};

}  // namespace hearth::train
