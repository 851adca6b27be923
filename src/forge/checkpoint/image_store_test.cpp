#include "forge/checkpoint/image_store.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/random.h"
#include "io/chunks.h"
#include "io/file.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

class ImageStoreTest : public testing::Test {
 protected:
  ImageStoreTest() { fs::create_directories(from_), fs::create_directories(to_); }
  ~ImageStoreTest() override { fs::remove_all(root_); }

  static std::string noise(size_t pages, uint64_t seed) {
    Random random(seed);
    std::string out(pages * io::kPageBytes, '\0');
    for (char& byte : out) byte = static_cast<char>(random.next());
    return out;
  }
  void put(const std::string& name, const std::string& bytes) const {
    std::ofstream(from_ / name, std::ios::binary) << bytes;
  }
  io::ChunkReport pack(Epoch epoch, int32_t number, io::Durable durable = io::Durable::kNow) const {
    return store().pack(7, epoch, number, from_.string(), durable);
  }
  std::string unpacked(Epoch epoch, int32_t number, const std::string& name) const {
    store().unpack(7, epoch, number, to_.string());
    return io::read_file((to_ / name).string());
  }
  void damage(const std::string& file) const {
    std::fstream out(store().job_folder(7) + "/" + file,
                     std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(1000);
    out.put('!').put('?');
  }
  ImageStore store() const { return ImageStore((root_ / "images").string()); }

  fs::path root_ =
      fs::temp_directory_path() / ("hearth-images-" + std::to_string(getpid()) +
                                   testing::UnitTest::GetInstance()->current_test_info()->name());
  fs::path from_ = root_ / "from", to_ = root_ / "to";
};

TEST_F(ImageStoreTest, GivesBackTheFilesOfAFolder) {
  put("pages", noise(300, 1) + "a tail");
  put("empty", "");
  put("text", std::string(100'000, 'x'));
  const io::ChunkReport report = pack(1, 1);
  EXPECT_EQ(report.bytes, static_cast<int64_t>(300 * io::kPageBytes + 6 + 100'000));
  EXPECT_LT(report.stored, static_cast<int64_t>(301 * io::kPageBytes));
  EXPECT_EQ(unpacked(1, 1, "pages"), noise(300, 1) + "a tail");
  EXPECT_EQ(unpacked(1, 1, "text"), std::string(100'000, 'x'));
  EXPECT_EQ(unpacked(1, 1, "empty"), "");
}

TEST_F(ImageStoreTest, OldOnesGoAndTheLastStayWholeOverManyEpochs) {
  std::string bytes = noise(200, 1);
  for (int i = 1; i <= 20; ++i) {
    bytes.replace(static_cast<size_t>(i) * io::kPageBytes, io::kPageBytes,
                  noise(1, 100U + static_cast<uint64_t>(i)));
    put("pages", bytes);
    const io::ChunkReport report = pack(i, 1, i % 2 == 0 ? io::Durable::kNow : io::Durable::kLater);
    if (i == 5) {
      EXPECT_LT(report.fresh, report.bytes / 2) << "it is based on the one before";
    }
    store().settle(7, i, 1);
    EXPECT_EQ(unpacked(i, 1, "pages"), bytes) << i;
  }
  EXPECT_THROW(unpacked(17, 1, "pages"), Error);
  EXPECT_NO_THROW(unpacked(18, 1, "pages"));
  EXPECT_NO_THROW(store().settle(7, 17, 1)) << "somebody was faster";
  int packs = 0;
  for (const auto& entry : fs::directory_iterator(store().job_folder(7)))
    packs += entry.path().extension() == ".pack";
  EXPECT_LE(packs, 16);
  store().forget(7);
  EXPECT_FALSE(fs::exists(store().job_folder(7)));
}

// What a loss of power leaves of an image that was not on the disk yet.
TEST_F(ImageStoreTest, ADamagedImageIsDiscardedAndNothingIsBasedOnIt) {
  put("pages", noise(50, 1));
  pack(1, 1);
  const std::string newer = noise(50, 1) + noise(50, 2);
  put("pages", newer);
  pack(2, 1);
  damage("2.1.pack");
  try {
    unpacked(2, 1, "pages");
    FAIL() << "the damage was not found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kDataLoss);
  }
  EXPECT_EQ(store().discard(7, 2, 1), (io::ChunkVersion{1, 1}));
  EXPECT_EQ(unpacked(1, 1, "pages"), noise(50, 1));
  EXPECT_GE(pack(3, 1).fresh, static_cast<int64_t>(50 * io::kPageBytes));
  EXPECT_EQ(unpacked(3, 1, "pages"), newer);
  EXPECT_EQ(store().discard(7, 1, 1), io::ChunkVersion());
}

TEST_F(ImageStoreTest, AnImageWhoseListIsDamagedIsNoBase) {
  put("pages", noise(50, 1));
  pack(1, 1);
  std::ofstream(store().job_folder(7) + "/1.1.image") << "something else";
  EXPECT_EQ(pack(1, 2).fresh, static_cast<int64_t>(50 * io::kPageBytes));
  EXPECT_EQ(unpacked(1, 2, "pages"), noise(50, 1));
}

TEST_F(ImageStoreTest, AnImageThatIsNotThereNamesTheCure) {
  try {
    unpacked(3, 1, "pages");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kNotFound);
    EXPECT_NE(std::string(error.what()).find("--images"), std::string::npos);
  }
}

}  // namespace
}  // namespace hearth::forge
