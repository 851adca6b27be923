#include "train/shard.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/error.h"

namespace hearth::train {
namespace {

constexpr char kMagic[] = "HRTHTOK1";
constexpr size_t kHeaderBytes = 64;
constexpr uint32_t kFlagMarks = 1;

struct Header {
  char magic[8] = {};
  uint32_t token_bytes = 0;
  uint32_t flags = 0;
  uint64_t documents = 0;
  uint64_t tokens = 0;
  uint64_t text_bytes = 0;
  uint64_t checksum = 0;
  uint64_t zero[2] = {};
};
static_assert(sizeof(Header) == kHeaderBytes && std::endian::native == std::endian::little);

template <typename T>
void append(std::string& out, const T* values, size_t count) {
  out.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

[[noreturn]] void damaged(const std::string& path, const char* what) {
  throw_error(ErrorCode::kDataLoss, path,
              "not a whole token shard: {}; make it again with "
              "`hearth data`",
              what);
}

}  // namespace

uint64_t checksum64(std::span<const std::byte> bytes) {
  // Four independent lanes of multiply-rotate over 8-byte words, folded at the end.
  constexpr uint64_t kPrime = 0x9e3779b185ebca87u;
  uint64_t lanes[4] = {1, 2, 3, 4};
  size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    for (size_t lane = 0; lane < 4; ++lane) {
      uint64_t word;
      std::memcpy(&word, bytes.data() + at + 8 * lane, 8);
      lanes[lane] = std::rotl(lanes[lane] + word * kPrime, 31) * 0xc2b2ae3d27d4eb4fu;
    }
  }
  uint64_t hash = bytes.size();
  for (uint64_t lane : lanes) hash = std::rotl(hash ^ lane, 27) * kPrime + 0x165667b19e3779f9u;
  for (; at < bytes.size(); ++at) {
    hash = std::rotl(hash ^ (static_cast<uint64_t>(bytes[at]) * kPrime), 11) * kPrime;
  }
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdu;
  return hash ^ (hash >> 29);
}

void ShardWriter::add(std::span<const int32_t> tokens, int64_t text_bytes,
                      std::span<const uint8_t> learn) {
  CHECK(learn.empty() || learn.size() == tokens.size(), "{} marks for {} tokens", learn.size(),
        tokens.size());
  for (int32_t token : tokens) {
    CHECK(token >= 0 && token < vocab_size_, "token {} of {}", token, vocab_size_);
  }
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  if (learn.empty()) {
    learn_.insert(learn_.end(), tokens.size(), 1);
  } else {
    learn_.insert(learn_.end(), learn.begin(), learn.end());
    marked_ = true;
  }
  offsets_.push_back(tokens_.size());
  text_bytes_ += text_bytes;
}

void ShardWriter::write(const std::string& path) const {
  Header header;
  std::memcpy(header.magic, kMagic, 8);
  header.token_bytes = vocab_size_ <= 65536 ? 2 : 4;
  header.flags = marked_ ? kFlagMarks : 0;
  header.documents = offsets_.size() - 1;
  header.tokens = tokens_.size();
  header.text_bytes = static_cast<uint64_t>(text_bytes_);
  std::string out(kHeaderBytes, '\0');
  append(out, offsets_.data(), offsets_.size());
  if (marked_) {
    append(out, learn_.data(), learn_.size());
    out.resize((out.size() + 7) / 8 * 8);
  }
  for (int32_t token : tokens_) {
    append(out, reinterpret_cast<const char*>(&token), header.token_bytes);
  }
  header.checksum = checksum64(std::as_bytes(std::span(out)).subspan(kHeaderBytes));
  std::memcpy(out.data(), &header, kHeaderBytes);
  io::write_file_atomic(path, out);
}

Shard::Shard(const std::string& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  Header header;
  if (bytes.size() < kHeaderBytes) damaged(path, "shorter than its header");
  std::memcpy(&header, bytes.data(), kHeaderBytes);
  if (std::memcmp(header.magic, kMagic, 8) != 0) damaged(path, "it does not begin with HRTHTOK1");
  if (header.token_bytes != 2 && header.token_bytes != 4) damaged(path, "a strange token width");
  const uint64_t size = bytes.size();
  if (header.documents > size / 8 || header.tokens > size / 2) damaged(path, "numbers too large");
  const uint64_t marks = (header.flags & kFlagMarks) != 0 ? (header.tokens + 7) / 8 * 8 : 0;
  const uint64_t offsets_bytes = 8 * (header.documents + 1);
  const uint64_t expected =
      kHeaderBytes + offsets_bytes + marks + header.tokens * header.token_bytes;
  if (expected != size) damaged(path, "its size does not match its header");
  if (checksum64(bytes.subspan(kHeaderBytes)) != header.checksum) damaged(path, "checksum");
  documents_ = static_cast<int64_t>(header.documents);
  tokens_ = static_cast<int64_t>(header.tokens);
  text_bytes_ = static_cast<int64_t>(header.text_bytes);
  checksum_ = header.checksum;
  token_bytes_ = static_cast<int>(header.token_bytes);
  offsets_ = reinterpret_cast<const uint64_t*>(bytes.data() + kHeaderBytes);
  const std::byte* after = bytes.data() + kHeaderBytes + offsets_bytes;
  if (marks > 0) marks_ = reinterpret_cast<const uint8_t*>(after);
  data_ = after + marks;
  if (offsets_[0] != 0 || offsets_[documents_] != header.tokens) damaged(path, "document offsets");
  for (int64_t i = 0; i < documents_; ++i) {
    if (offsets_[i] > offsets_[i + 1]) damaged(path, "document offsets");
  }
}

int64_t Shard::document_tokens(int64_t document) const {
  return static_cast<int64_t>(offsets_[document + 1] - offsets_[document]);
}

int32_t Shard::token(uint64_t at) const {
  if (token_bytes_ == 2) {
    uint16_t value;
    std::memcpy(&value, data_ + 2 * at, 2);
    return value;
  }
  int32_t value;
  std::memcpy(&value, data_ + 4 * at, 4);
  return value;
}

int32_t Shard::token_max() const {
  int32_t largest = 0;
  for (int64_t i = 0; i < tokens_; ++i) {
    largest = std::max(largest, token(static_cast<uint64_t>(i)));
  }
  return largest;
}

void Shard::read(int64_t document, int64_t begin, int64_t count, std::vector<int32_t>& tokens,
                 std::vector<uint8_t>& learn) const {
  CHECK(document >= 0 && document < documents_ && begin >= 0 &&
            begin + count <= document_tokens(document),
        "tokens [{}, {}) of document {}", begin, begin + count, document);
  const uint64_t first = offsets_[document] + static_cast<uint64_t>(begin);
  for (uint64_t i = first; i < first + static_cast<uint64_t>(count); ++i) {
    tokens.push_back(token(i));
    learn.push_back(marks_ == nullptr ? 1 : marks_[i]);
  }
}

}  // namespace hearth::train
