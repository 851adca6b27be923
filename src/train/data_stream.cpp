#include "train/data_stream.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/random.h"

namespace hearth::train {

DataStream::DataStream(std::span<const std::string> paths, int64_t context, uint64_t seed)
    : context_(context), seed_(seed) {
  for (const std::string& path : paths) {
    shards_.emplace_back(path);
    const Shard& shard = shards_.back();
    tokens_ += shard.tokens();
    text_bytes_ += shard.text_bytes();
    for (int64_t document = 0; document < shard.documents(); ++document) {
      const int64_t length = shard.document_tokens(document);
      for (int64_t begin = 0; begin + 1 < length; begin += context) {
        pieces_.push_back({static_cast<int32_t>(shards_.size() - 1),
                           static_cast<int32_t>(std::min(context + 1, length - begin)), document,
                           begin});
      }
    }
  }
  if (pieces_.empty()) {
    throw_error(ErrorCode::kInvalidArgument, paths.empty() ? "data" : paths.front(),
                "no document of two or more tokens to train on");
  }
  order_epoch();
}

void DataStream::order_epoch() {
  order_.resize(pieces_.size());
  std::iota(order_.begin(), order_.end(), 0);
  Random random(split_mix(seed_ + static_cast<uint64_t>(position_.epoch)));
  random.shuffle(std::span(order_));
}

void DataStream::seek(const DataPosition& position) {
  CHECK(position.next >= 0 && position.next <= pieces(), "position {} of {}", position.next,
        pieces());
  position_ = position;
  order_epoch();
}

std::vector<DataStream::Piece> DataStream::take(int64_t tokens) {
  std::vector<Piece> taken;
  int64_t sum = 0;
  for (;;) {
    if (position_.next == pieces()) {
      if (!taken.empty()) return taken;
      ++position_.epoch;
      position_.next = 0;
      order_epoch();
    }
    const PieceRef& ref = pieces_[static_cast<size_t>(order_[static_cast<size_t>(position_.next)])];
    if (!taken.empty() && sum + ref.count - 1 > tokens) return taken;
    Piece piece;
    shards_[static_cast<size_t>(ref.shard)].read(ref.document, ref.begin, ref.count, piece.tokens,
                                                 piece.learn);
    taken.push_back(std::move(piece));
    sum += ref.count - 1;
    ++position_.next;
  }
}

int32_t DataStream::token_max() const {
  int32_t largest = 0;
  for (const Shard& shard : shards_) largest = std::max(largest, shard.token_max());
  return largest;
}

uint64_t DataStream::fingerprint() const {
  uint64_t hash = split_mix(seed_ ^ static_cast<uint64_t>(context_) << 32);
  for (const Shard& shard : shards_) hash = split_mix(hash ^ shard.checksum());
  return hash;
}

std::vector<std::vector<DataStream::Piece>> share_out(std::vector<DataStream::Piece> pieces,
                                                      int ranks) {
  std::vector<std::vector<DataStream::Piece>> shares(static_cast<size_t>(ranks));
  std::vector<size_t> loads(static_cast<size_t>(ranks), 0);
  for (DataStream::Piece& piece : pieces) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += piece.tokens.size() - 1;
    shares[static_cast<size_t>(least - loads.begin())].push_back(std::move(piece));
  }
  return shares;
}

std::vector<Batch> make_batches(std::span<const DataStream::Piece> pieces, int64_t tokens) {
  std::vector<Batch> batches;
  for (const DataStream::Piece& piece : pieces) {
    const auto count = static_cast<int64_t>(piece.tokens.size()) - 1;
    if (batches.empty() || batches.back().tokens() + count > tokens) batches.emplace_back();
    batches.back().append(piece.tokens, piece.learn);
  }
  return batches;
}

}  // namespace hearth::train
