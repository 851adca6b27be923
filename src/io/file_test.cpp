#include "io/file.h"

#include <fstream>
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

}  // namespace
}  // namespace hearth::io
