#include "forge/server/log_store.h"

#include <filesystem>
#include <gtest/gtest.h>

namespace hearth::forge {
namespace {

TEST(LogStore, BytesSentTwiceAreWrittenOnce) {
  const std::string folder = testing::TempDir() + "/forge_log_store";
  std::filesystem::remove_all(folder);
  LogStore logs(folder);
  const LogKey key{3, 2, 0};
  EXPECT_EQ(logs.append(key, 0, "abc"), 3);
  EXPECT_EQ(logs.append(key, 0, "abc"), 3);
  EXPECT_EQ(logs.append(key, 1, "bcdef"), 6);
  EXPECT_EQ(logs.append(key, 9, "gap"), 6);
  EXPECT_EQ(logs.append({3, 4, 0}, 0, "x"), 1);
  EXPECT_EQ(logs.append({3, 1, 1}, 0, "y"), 1);
  EXPECT_EQ(logs.read(key, 2, 100), "cdef");
  EXPECT_EQ(logs.read(key, 2, 2), "cd");
  EXPECT_EQ(logs.read(key, 6, 10), "");
  EXPECT_EQ(logs.epochs(3, 0), (std::vector<Epoch>{2, 4}));
  EXPECT_TRUE(logs.epochs(8, 0).empty());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hearth::forge
