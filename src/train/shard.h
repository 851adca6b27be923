// Token shards: tokenised documents in one file that is mapped and read in place.
//
//   offset  size            what
//   0       8               "HRTHTOK1"
//   8       4               bytes of one token: 2 or 4
//   12      4               flags: bit 0, marks follow (which tokens are learned from)
//   16      8               documents
//   24      8               tokens
//   32      8               bytes of text that the tokens came from
//   40      8               checksum64 of everything after the header
//   48      16              zero
//   64      8 * (docs + 1)  where each document begins, in tokens; the last is the number of tokens
//           tokens, padded to 8, only with marks: one byte each, 0 or 1
//           tokens * bytes of one token
//
// Numbers are little-endian.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/file.h"

namespace hearth::train {

// Collects documents, then writes the file in one step.
class ShardWriter {
 public:
  // `vocab_size` decides the width of a token.
  explicit ShardWriter(int64_t vocab_size) : vocab_size_(vocab_size) {}
  // `learn` marks tokens to learn from; empty: all.
  void add(std::span<const int32_t> tokens, int64_t text_bytes,
           std::span<const uint8_t> learn = {});
  void write(const std::string& path) const;
  int64_t documents() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t tokens() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  int64_t vocab_size_;
  bool marked_ = false;
  int64_t text_bytes_ = 0;
  std::vector<uint64_t> offsets_ = {0};
  std::vector<int32_t> tokens_;
  std::vector<uint8_t> learn_;
};

class Shard {
 public:
  // Maps and checks the file; throws Error naming it.
  explicit Shard(const std::string& path);

  int64_t documents() const { return documents_; }
  int64_t tokens() const { return tokens_; }
  int64_t text_bytes() const { return text_bytes_; }
  uint64_t checksum() const { return checksum_; }
  bool marked() const { return marks_ != nullptr; }
  int64_t document_tokens(int64_t document) const;
  int32_t token_max() const;  // reads the whole shard
  // Appends tokens [begin, begin + count) of a document, and their marks.
  void read(int64_t document, int64_t begin, int64_t count, std::vector<int32_t>& tokens,
            std::vector<uint8_t>& learn) const;

 private:
  int32_t token(uint64_t at) const;

  io::MappedFile file_;
  int64_t documents_ = 0, tokens_ = 0, text_bytes_ = 0;
  uint64_t checksum_ = 0;
  int token_bytes_ = 2;
  const uint64_t* offsets_ = nullptr;
  const uint8_t* marks_ = nullptr;
  const std::byte* data_ = nullptr;
};

// A fast 64-bit checksum against damage, not against intent.
uint64_t checksum64(std::span<const std::byte> bytes);

}  // namespace hearth::train
