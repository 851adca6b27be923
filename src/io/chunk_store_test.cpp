#include "io/chunk_store.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "io/chunks.h"
#include "io/file.h"

namespace hearth::io {
namespace {

namespace fs = std::filesystem;

std::string noise(size_t pages, uint64_t seed) {
  Random random(seed);
  std::string out(pages * kPageBytes, '\0');
  for (char& byte : out) byte = static_cast<char>(random.next());
  return out;
}

// Numbers as weights are: signs and digits at random, exponents much alike.
std::string floats(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> out(count);
  for (float& value : out) value = static_cast<float>(random.uniform() - 0.5) * 0.04F;
  return {reinterpret_cast<const char*>(out.data()), count * sizeof(float)};
}

class ChunkStoreTest : public testing::Test {
 protected:
  ~ChunkStoreTest() override { fs::remove_all(folder_); }

  ChunkStore store(int threads = 2) const { return {folder_, threads}; }
  ChunkReport put(ChunkVersion version, const std::string& bytes,
                  std::optional<ChunkVersion> base = {}) const {
    const ChunkPiece pieces[] = {{"pages", as_bytes(bytes)}};
    return store().put(version, pieces, base, Durable::kNow);
  }
  std::string get(ChunkVersion version, int threads = 2) const {
    const ChunkManifest manifest = store().manifest(version);
    std::string out(static_cast<size_t>(manifest.pieces.at(0).bytes), '\0');
    store(threads).read(manifest, [&](size_t, int64_t offset, std::span<const std::byte> bytes) {
      std::copy(bytes.begin(), bytes.end(),
                reinterpret_cast<std::byte*>(out.data()) + static_cast<ptrdiff_t>(offset));
    });
    return out;
  }
  void damage(const std::string& file, std::streamoff at) const {
    std::fstream out(folder_ + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekg(at);
    const char was = static_cast<char>(out.get());
    out.seekp(at);
    out.put(static_cast<char>(was ^ 1));
  }
  ErrorCode error_of(ChunkVersion version) const {
    try {
      get(version);
    } catch (const Error& error) {
      return error.code;
    }
    return ErrorCode::kInternal;
  }

  std::string folder_ =
      (fs::temp_directory_path() / ("hearth-chunks-" + std::to_string(getpid()) +
                                    testing::UnitTest::GetInstance()->current_test_info()->name()))
          .string();
};

TEST_F(ChunkStoreTest, GivesBackWhatItGotWhoeverReadsAndWrites) {
  // Over several segments, and with a tail that is no page.
  const std::string bytes = noise(5'000, 1) + "a tail";
  for (const int threads : {1, 3}) {
    const ChunkPiece pieces[] = {
        {"pages", as_bytes(bytes)}, {"nothing", {}}, {"zeros", as_bytes(bytes).first(0)}};
    const ChunkVersion version{1, threads};
    const ChunkReport report = store(threads).put(version, pieces, {}, Durable::kNow);
    EXPECT_EQ(report.bytes, static_cast<int64_t>(bytes.size()));
    EXPECT_EQ(get(version, 3), bytes);
    EXPECT_EQ(get(version, 1), bytes);
  }
  EXPECT_EQ(read_file(folder_ + "/1.1.pack"), read_file(folder_ + "/1.3.pack"));
}

TEST_F(ChunkStoreTest, WritesOnlyWhatIsNewAlsoWhereItMoved) {
  const std::string before = noise(3'000, 1);
  EXPECT_EQ(put({1, 1}, before).fresh, static_cast<int64_t>(before.size()));
  // Three pages more at the front, one changed in the middle.
  std::string after = noise(3, 2) + before;
  after[1'500 * kPageBytes] = static_cast<char>(~after[1'500 * kPageBytes]);
  EXPECT_LT(put({1, 2}, after, ChunkVersion{1, 1}).fresh, static_cast<int64_t>(4 * kChunkBytesMax));
  EXPECT_EQ(get({1, 2}), after);
  EXPECT_EQ(get({1, 1}), before);
}

TEST_F(ChunkStoreTest, TheSameTwiceIsKeptOnce) {
  const std::string once = noise(100, 1);
  const ChunkPiece pieces[] = {{"a", as_bytes(once)}, {"b", as_bytes(once)}};
  EXPECT_EQ(store().put({1, 1}, pieces, {}, Durable::kNow).fresh,
            static_cast<int64_t>(once.size()));
}

TEST_F(ChunkStoreTest, PacksWhatIsWorthItAndLeavesNoiseAlone) {
  const std::string random = noise(1'000, 1), text(1'000 * kPageBytes, 'x');
  EXPECT_EQ(put({1, 1}, random).stored, static_cast<int64_t>(random.size()));
  EXPECT_LT(put({1, 2}, text).stored, static_cast<int64_t>(text.size() / 100));
  EXPECT_EQ(get({1, 2}), text);
}

TEST_F(ChunkStoreTest, NumbersArePackedWithTheirBytesApart) {
  const std::string numbers = floats(400'003, 1);
  const ChunkPiece apart[] = {{"pages", as_bytes(numbers), Content::kWords}};
  const int64_t stored = store().put({1, 1}, apart, {}, Durable::kNow).stored;
  EXPECT_LT(stored, put({1, 2}, numbers).stored * 92 / 100);
  EXPECT_EQ(get({1, 1}), numbers);
}

TEST_F(ChunkStoreTest, WhatIsNotYetOnTheDiskCanBeReadAndSettled) {
  const std::string bytes = noise(200, 1);
  const ChunkPiece pieces[] = {{"pages", as_bytes(bytes)}};
  EXPECT_EQ(store().put({1, 1}, pieces, {}, Durable::kLater).disk_seconds, 0);
  EXPECT_EQ(get({1, 1}), bytes);
  store().settle({1, 1});
  EXPECT_EQ(get({1, 1}), bytes);
  EXPECT_FALSE(file_exists(folder_ + "/1.1.image.new"));
}

TEST_F(ChunkStoreTest, DamageIsFoundInPacksAndLists) {
  const std::string bytes = noise(50, 1);
  put({1, 1}, bytes), put({1, 2}, bytes + noise(40, 2));
  damage("1.1.pack", 1'000);
  EXPECT_EQ(error_of({1, 1}), ErrorCode::kDataLoss);
  EXPECT_EQ(get({1, 2}), bytes + noise(40, 2)) << "it was based on nothing";
  const auto size = static_cast<std::streamoff>(fs::file_size(folder_ + "/1.2.image"));
  for (std::streamoff at = 0; at < size; at += 7) {
    damage("1.2.image", at);
    EXPECT_EQ(error_of({1, 2}), ErrorCode::kDataLoss) << at;
    damage("1.2.image", at);
  }
  for (std::streamoff left : {size - 1, size / 2, std::streamoff{9}, std::streamoff{0}}) {
    fs::resize_file(folder_ + "/1.2.image", static_cast<uintmax_t>(left));
    EXPECT_EQ(error_of({1, 2}), ErrorCode::kDataLoss) << left;
  }
}

TEST_F(ChunkStoreTest, APackStaysAsLongAsAVersionNeedsIt) {
  const std::string bytes = noise(100, 1);
  put({1, 1}, bytes);
  put({1, 2}, bytes + noise(10, 2), ChunkVersion{1, 1});
  store().remove({{1, 1}}, {1, 2});
  EXPECT_EQ(error_of({1, 1}), ErrorCode::kNotFound);
  EXPECT_EQ(get({1, 2}), bytes + noise(10, 2));
  store().remove({{1, 2}}, {1, 2});
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(ChunkStoreTest, AChainOfVersionsNeedsFewPacks) {
  std::string bytes = noise(200, 1);
  std::optional<ChunkVersion> base;
  for (int64_t i = 1; i <= 20; ++i) {
    bytes.replace(static_cast<size_t>(i) * kPageBytes, kPageBytes,
                  noise(1, 100U + static_cast<uint64_t>(i)));
    put({i, 1}, bytes, base);
    if (base) store().remove({*base}, {i, 1});
    base = ChunkVersion{i, 1};
    EXPECT_LE(store().manifest(*base).packs.size(), 8U);
    EXPECT_EQ(get(*base), bytes) << i;
  }
}

}  // namespace
}  // namespace hearth::io
