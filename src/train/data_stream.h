// The order in which documents are trained on: every document of all shards once an epoch, in an
// order that depends on (seed, epoch) only. Its position is two numbers, so that a checkpoint goes
// on with the very next document.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train/model.h"
#include "train/shard.h"

namespace hearth::train {

struct DataPosition {
  int64_t epoch = 0;
  int64_t next = 0;  // in the order of the epoch
};

class DataStream {
 public:
  // Documents longer than context + 1 tokens become several pieces that overlap by one token, so
  // that every token but the first of a document is predicted once.
  DataStream(std::span<const std::string> paths, int64_t context, uint64_t seed);

  // Pieces for one step: as many as fit into `tokens` predictions, at least one, all of one epoch.
  struct Piece {
    std::vector<int32_t> tokens;
    std::vector<uint8_t> learn;
  };
  std::vector<Piece> take(int64_t tokens);

  DataPosition position() const { return position_; }
  void seek(const DataPosition& position);

  int64_t pieces() const { return static_cast<int64_t>(pieces_.size()); }
  int64_t tokens() const { return tokens_; }
  int64_t text_bytes() const { return text_bytes_; }
  int32_t token_max() const;
  // A number that names the data and its order: a checkpoint of other data is refused.
  uint64_t fingerprint() const;

 private:
  struct PieceRef {
    int32_t shard = 0;
    int32_t count = 0;  // tokens
    int64_t document = 0;
    int64_t begin = 0;
  };
  void order_epoch();

  std::vector<Shard> shards_;
  std::vector<PieceRef> pieces_;
  std::vector<int32_t> order_;
  int64_t context_;
  uint64_t seed_;
  int64_t tokens_ = 0;
  int64_t text_bytes_ = 0;
  DataPosition position_;
};

// Shares the pieces of a step out among ranks: each in turn to the one with the fewest predictions.
std::vector<std::vector<DataStream::Piece>> share_out(std::vector<DataStream::Piece> pieces,
                                                      int ranks);

// Cuts the pieces of a step into batches of at most `tokens` predictions (a longer piece stands
// alone).
std::vector<Batch> make_batches(std::span<const DataStream::Piece> pieces, int64_t tokens);

}  // namespace hearth::train
