#include "io/file.h"

#include <atomic>
#include <cstring>
#include <fstream>
// tidy: allow threads: that others read meanwhile is what is tested
#include <future>
#include <gtest/gtest.h>
#include <numeric>
#include <unistd.h>
#include <vector>

namespace hearth::io {
namespace {

// Pages of files that this process has in memory.
int64_t resident_file_pages() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0, of_files = 0;
  file >> all >> resident >> of_files;
  return of_files;
}

TEST(MappedFile, PagesThatAreReleasedAreNotResidentAndComeBack) {
  const std::string path = testing::TempDir() + "hearth_pages_" + std::to_string(::getpid());
  constexpr size_t kBytes = size_t{8} << 20;
  write_file_atomic(path, std::string(kBytes, 'x'));
  const MappedFile file(path);
  ::unlink(path.c_str());
  const auto sum = [&] {
    return std::accumulate(file.bytes().begin(), file.bytes().end(), int64_t{0},
                           [](int64_t s, std::byte b) { return s + static_cast<int64_t>(b); });
  };
  const int64_t read = sum();
  const int64_t before = resident_file_pages();
  file.release_pages();
  EXPECT_GE(before - resident_file_pages(), static_cast<int64_t>(kBytes) / ::sysconf(_SC_PAGESIZE));
  EXPECT_EQ(sum(), read);
}

// Each byte another from its neighbours.
std::string pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 31 + i / 4093);
  return text;
}

MappedFile map_unlinked(const std::string& name, const std::string& contents) {
  const std::string path = testing::TempDir() + name + std::to_string(::getpid());
  write_file_atomic(path, contents);
  MappedFile file(path);
  ::unlink(path.c_str());
  return file;
}

// Whoever reads meanwhile finds the same bytes at the same place, and so does whoever reads after.
TEST(MappedFile, BytesAreTheSameWhileTheyMoveToHugePages) {
  const std::string contents = pattern((size_t{9} << 20) + 123);
  MappedFile file = map_unlinked("hearth_move_", contents);
  const auto same = [&] {
    return std::memcmp(file.bytes().data(), contents.data(), contents.size()) == 0;
  };
  std::atomic<bool> done = false;
  auto reader = std::async(std::launch::async, [&] {
    bool all_same = same();
    while (!done) all_same = all_same && same();
    return all_same;
  });
  const size_t moved = file.move_to_huge_pages({});
  done = true;
  EXPECT_TRUE(reader.get());
  if (moved == 0) GTEST_SKIP() << "this system has no huge pages";
  EXPECT_GE(moved, size_t{6} << 20);
  file.release_pages();
  EXPECT_TRUE(same()) << "what is not the file's any more is not let go";
  const MappedFile other = std::move(file);
  other.release_pages();
  EXPECT_EQ(std::memcmp(other.bytes().data(), contents.data(), contents.size()), 0);
}

TEST(MappedFile, AMoveThatIsStoppedLeavesItWhole) {
  const std::string contents = pattern(size_t{6} << 20);
  MappedFile file = map_unlinked("hearth_stop_", contents);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(file.move_to_huge_pages(stop.get_token()), 0u);
  EXPECT_EQ(std::memcmp(file.bytes().data(), contents.data(), contents.size()), 0);
}

TEST(ReadFile, WhatTheKernelWritesWhileItIsReadIsWhole) {
  EXPECT_NE(read_file("/proc/self/status").find("Pid:"), std::string::npos);
  EXPECT_FALSE(read_file("/proc/sys/kernel/random/boot_id").empty());
}

}  // namespace
}  // namespace hearth::io
