#include "tokenizer/vocab.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace hearth::tokenizer {

uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15ull;
  const auto mix = [](uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  uint64_t hash = bytes.size() * kMultiplier;
  while (bytes.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    hash = mix(hash ^ word, kMultiplier);
    bytes.remove_prefix(8);
  }
  uint64_t tail = 0;
  std::memcpy(&tail, bytes.data(), bytes.size());
  return mix(hash ^ tail, 0xD6E8FEB86659FD93ull);
}

void Vocab::reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  entries_.reserve(tokens);
  grow(std::bit_ceil(tokens * 2 + 16));
}

void Vocab::grow(size_t slots) {
  if (slots <= slots_.size()) return;
  std::vector<Slot> old(slots);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id == kNoToken) continue;
    size_t i = slot.hash & mask;
    while (slots_[i].id != kNoToken) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

void Vocab::add(std::string_view text, int32_t id) {
  CHECK(id >= 0, "token id {}", id);
  CHECK(arena_.size() + text.size() < UINT32_MAX, "vocabulary of {} bytes", arena_.size());
  if ((used_ + 1) * 2 > slots_.size()) grow(std::bit_ceil(used_ * 4 + 16));
  const auto hash = static_cast<uint32_t>(hash_bytes(text));
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  while (slots_[i].id != kNoToken &&
         (slots_[i].hash != hash ||
          std::string_view(arena_).substr(slots_[i].offset, slots_[i].length) != text)) {
    i = (i + 1) & mask;
  }
  if (slots_[i].id == kNoToken) {
    ++used_;
    slots_[i] = {hash, id, static_cast<uint32_t>(arena_.size()),
                 static_cast<uint32_t>(text.size())};
    arena_ += text;
  }
  slots_[i].id = id;
  if (static_cast<size_t>(id) >= entries_.size()) entries_.resize(static_cast<size_t>(id) + 1);
  entries_[static_cast<size_t>(id)] = {slots_[i].offset, static_cast<int32_t>(text.size())};
}

int32_t Vocab::find(std::string_view text) const {
  if (slots_.empty()) return kNoToken;
  const auto hash = static_cast<uint32_t>(hash_bytes(text));
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask; slots_[i].id != kNoToken; i = (i + 1) & mask) {
    if (slots_[i].hash == hash &&
        std::string_view(arena_).substr(slots_[i].offset, slots_[i].length) == text) {
      return slots_[i].id;
    }
  }
  return kNoToken;
}

bool Vocab::has(int32_t id) const {
  return id >= 0 && id < size() && entries_[static_cast<size_t>(id)].length >= 0;
}

std::string_view Vocab::text(int32_t id) const {
  if (!has(id)) return {};
  const Entry entry = entries_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(entry.offset, static_cast<size_t>(entry.length));
}

}  // namespace hearth::tokenizer
