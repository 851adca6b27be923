#include "io/chunk_codec.h"

#include <algorithm>
#include <array>
#include <openssl/evp.h>
#include <zstd.h>

#include "io/chunks.h"

namespace hearth::io {
namespace {

constexpr int kPackLevel = 1;  // of zstd: on the way to a preemption, time counts
constexpr size_t kWordBytes = 4;
constexpr size_t kWorthIt = 16;  // packed if it saves one part in so many
constexpr size_t kSamples = 512;
constexpr size_t kNoiseValues = 205;  // noise has 221 of them, with a deviation of 5

// The first bytes of all words, then the second ones, and so on; what makes no word stays behind.
void put_apart(std::span<const std::byte> chunk, std::vector<std::byte>& out) {
  const size_t words = chunk.size() / kWordBytes;
  out.resize(chunk.size());
  for (size_t word = 0; word < words; ++word) {
    for (size_t byte = 0; byte < kWordBytes; ++byte)
      out[byte * words + word] = chunk[word * kWordBytes + byte];
  }
  std::copy(chunk.begin() + static_cast<ptrdiff_t>(words * kWordBytes), chunk.end(),
            out.begin() + static_cast<ptrdiff_t>(words * kWordBytes));
}

void put_together(std::span<const std::byte> apart, std::vector<std::byte>& out) {
  const size_t words = apart.size() / kWordBytes;
  out.resize(apart.size());
  for (size_t word = 0; word < words; ++word) {
    for (size_t byte = 0; byte < kWordBytes; ++byte)
      out[word * kWordBytes + byte] = apart[byte * words + word];
  }
  std::copy(apart.begin() + static_cast<ptrdiff_t>(words * kWordBytes), apart.end(),
            out.begin() + static_cast<ptrdiff_t>(words * kWordBytes));
}

// By bytes from all over it: where nearly all of 256 values are met, nothing can be saved.
bool is_noise(std::span<const std::byte> chunk) {
  if (chunk.size() < kPageBytes) return false;
  std::array<bool, 256> met{};
  const size_t stride = chunk.size() / kSamples;
  // Now this byte of a word and now that one.
  for (size_t i = 0; i < kSamples; ++i)
    met[static_cast<size_t>(chunk[i * stride + i % std::min<size_t>(stride, kWordBytes)])] = true;
  return static_cast<size_t>(std::count(met.begin(), met.end(), true)) > kNoiseValues;
}

}  // namespace

ChunkHash hash_chunk(std::span<const std::byte> chunk) {
  ChunkHash out;
  unsigned int size = 0;
  EVP_Digest(chunk.data(), chunk.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
             EVP_sha256(), nullptr);
  return out;
}

struct ChunkPacker::Context {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  Context() = default;
  ~Context() { ZSTD_freeCCtx(zstd); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  // The packed size; 0: it does not fit, so it is not worth it.
  size_t pack(std::span<const std::byte> from, std::byte* to, size_t room) {
    const size_t size = ZSTD_compressCCtx(zstd, to, room, from.data(), from.size(), kPackLevel);
    return ZSTD_isError(size) != 0U ? 0 : size;
  }
};

ChunkPacker::ChunkPacker() : context_(std::make_unique<Context>()) {}
ChunkPacker::~ChunkPacker() = default;

Packing ChunkPacker::append(std::span<const std::byte> chunk, Content content,
                            std::vector<std::byte>& out) {
  if (content == Content::kWords) {
    put_apart(chunk, apart_);
    if (append_planes(out)) return Packing::kWordsPacked;
  } else if (!is_noise(chunk)) {
    const size_t before = out.size(), room = chunk.size() - chunk.size() / kWorthIt;
    out.resize(before + room);
    const size_t size = context_->pack(chunk, out.data() + before, room);
    out.resize(before + size);
    if (size > 0) return Packing::kPacked;
  }
  return Packing::kPlain;
}

// Each of the four kinds of bytes by itself: what is said of one would be untrue of the next. zstd
// reads such a row of its frames as one.
bool ChunkPacker::append_planes(std::vector<std::byte>& out) {
  const size_t before = out.size(), plane = apart_.size() / kWordBytes;
  for (size_t byte = 0; byte < kWordBytes; ++byte) {
    const size_t begin = byte * plane, end = byte + 1 < kWordBytes ? begin + plane : apart_.size();
    const size_t at = out.size(), room = ZSTD_compressBound(end - begin);
    out.resize(at + room);
    out.resize(
        at + context_->pack(std::span(apart_).subspan(begin, end - begin), out.data() + at, room));
  }
  const bool worth = out.size() - before <= apart_.size() - apart_.size() / kWorthIt;
  if (!worth) out.resize(before);
  return worth;
}

std::span<const std::byte> ChunkUnpacker::read(std::span<const std::byte> kept, Packing packing,
                                               size_t size) {
  if (size > kChunkBytesMax) return {};
  if (packing == Packing::kPlain) return kept.size() == size ? kept : std::span<const std::byte>();
  raw_.resize(size);
  if (ZSTD_decompress(raw_.data(), size, kept.data(), kept.size()) != size) return {};
  if (packing == Packing::kPacked) return raw_;
  if (packing != Packing::kWordsPacked) return {};
  put_together(raw_, whole_);
  return whole_;
}

}  // namespace hearth::io
