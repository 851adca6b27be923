#include "forge/checkpoint/image_store.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "forge/checkpoint/chunks.h"
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
    std::string out(pages * kPageBytes, '\0');
    for (char& byte : out) byte = static_cast<char>(random.next());
    return out;
  }
  void put(const std::string& name, const std::string& bytes) const {
    std::ofstream(from_ / name, std::ios::binary) << bytes;
  }
  PackReport pack(Epoch epoch, int32_t number) const {
    return store().pack(7, epoch, number, from_.string());
  }
  std::string unpacked(Epoch epoch, int32_t number, const std::string& name) const {
    store().unpack(7, epoch, number, to_.string());
    return io::read_file((to_ / name).string());
  }
  ImageStore store() const { return ImageStore((root_ / "images").string()); }

  fs::path root_ =
      fs::temp_directory_path() / ("hearth-images-" + std::to_string(getpid()) +
                                   testing::UnitTest::GetInstance()->current_test_info()->name());
  fs::path from_ = root_ / "from", to_ = root_ / "to";
};

TEST_F(ImageStoreTest, GivesBackWhatItGot) {
  put("pages", noise(300, 1) + "a tail");
  put("empty", "");
  put("text", std::string(100'000, 'x'));
  const PackReport report = pack(1, 1);
  EXPECT_EQ(report.bytes, static_cast<int64_t>(300 * kPageBytes + 6 + 100'000));
  EXPECT_LT(report.stored, static_cast<int64_t>(301 * kPageBytes));
  EXPECT_EQ(unpacked(1, 1, "pages"), noise(300, 1) + "a tail");
  EXPECT_EQ(unpacked(1, 1, "text"), std::string(100'000, 'x'));
  EXPECT_EQ(unpacked(1, 1, "empty"), "");
}

TEST_F(ImageStoreTest, WritesOnlyWhatIsNewAlsoWhereItMoved) {
  const std::string before = noise(500, 1);
  put("pages", before);
  EXPECT_EQ(pack(1, 1).fresh, static_cast<int64_t>(before.size()));
  // Three pages more at the front, one changed in the middle.
  std::string after = noise(3, 2) + before;
  after[250 * kPageBytes] = static_cast<char>(~after[250 * kPageBytes]);
  put("pages", after);
  EXPECT_LT(pack(1, 2).fresh, static_cast<int64_t>(140 * kPageBytes));
  EXPECT_EQ(unpacked(1, 2, "pages"), after);
  EXPECT_EQ(unpacked(1, 1, "pages"), before);
}

TEST_F(ImageStoreTest, TheSameTwiceIsKeptOnce) {
  put("a", noise(100, 1));
  put("b", noise(100, 1));
  EXPECT_EQ(pack(1, 1).fresh, static_cast<int64_t>(100 * kPageBytes));
  EXPECT_EQ(unpacked(1, 1, "b"), noise(100, 1));
}

TEST_F(ImageStoreTest, OldOnesGoAndTheLastStayWholeOverManyEpochs) {
  std::string bytes = noise(200, 1);
  for (int i = 1; i <= 20; ++i) {
    bytes.replace(static_cast<size_t>(i) * kPageBytes, kPageBytes,
                  noise(1, 100U + static_cast<uint64_t>(i)));
    put("pages", bytes);
    pack(i, 1);
    EXPECT_EQ(unpacked(i, 1, "pages"), bytes) << i;
  }
  EXPECT_THROW(unpacked(17, 1, "pages"), Error);
  EXPECT_NO_THROW(unpacked(18, 1, "pages"));
  int packs = 0;
  for (const auto& entry : fs::directory_iterator(store().job_folder(7)))
    packs += entry.path().extension() == ".pack";
  EXPECT_LE(packs, 16);
  store().forget(7);
  EXPECT_FALSE(fs::exists(store().job_folder(7)));
}

TEST_F(ImageStoreTest, DamageIsFound) {
  put("pages", noise(50, 1));
  pack(1, 1);
  {
    std::fstream pack(store().job_folder(7) + "/1.1.pack",
                      std::ios::in | std::ios::out | std::ios::binary);
    pack.seekp(1000);
    pack.put('!');
  }
  try {
    unpacked(1, 1, "pages");
    FAIL() << "the damage was not found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, ErrorCode::kDataLoss);
  }
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
