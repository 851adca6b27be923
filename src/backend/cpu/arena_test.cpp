#include "backend/cpu/arena.h"

#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>

namespace hearth::backend::cpu {
namespace {

TEST(ChunkArena, PiecesAreAlignedAndApart) {
  ChunkArena arena;
  auto* a = static_cast<char*>(arena.allocate(1));
  auto* b = static_cast<char*>(arena.allocate(100));
  auto* c = static_cast<char*>(arena.allocate(0));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0u);
  EXPECT_EQ(b - a, 64);
  EXPECT_EQ(c - b, 128);
}

TEST(ChunkArena, ReleaseGivesTheSameMemoryAgain) {
  ChunkArena arena;
  arena.allocate(1000);
  void* first = nullptr;
  {
    ops::ArenaScope scope(arena);
    first = arena.allocate(1 << 22);
    std::memset(first, 1, 1 << 22);
  }
  ops::ArenaScope scope(arena);
  EXPECT_EQ(arena.allocate(1 << 22), first);
}

TEST(ChunkArena, SteadyStateAllocatesNothing) {
  ChunkArena arena;
  const auto step = [&] {
    for (int i = 0; i < 20; ++i) std::memset(arena.allocate(700'000), i, 700'000);
    arena.reset();
  };
  step();
  const size_t bytes = arena.bytes_reserved();
  EXPECT_GE(bytes, 20u * 700'000u);
  step();
  EXPECT_EQ(arena.bytes_reserved(), bytes);
}

}  // namespace
}  // namespace hearth::backend::cpu
