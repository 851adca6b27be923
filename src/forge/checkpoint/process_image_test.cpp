#include "forge/checkpoint/process_image.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

namespace hearth::forge {
namespace {

namespace fs = std::filesystem;

// A list of open files, made by hand from the format's description.
class FilesImage {
 public:
  FilesImage() { word(0x54564319), word(0x56303138); }

  // Of a file that is only appended to, `size` is the position.
  FilesImage& regular(const std::string& path, uint64_t flags, uint64_t size, uint64_t mode) {
    const bool appended = flags == (O_WRONLY | O_APPEND);
    std::string entry;
    number(entry, 1, 7), number(entry, 2, flags), number(entry, 3, appended ? size : 0);
    text(entry, 5, std::string(3, '\0'));
    text(entry, 6, path);
    if (!appended) number(entry, 8, size);
    number(entry, 10, mode);
    std::string file;
    number(file, 1, 1), number(file, 2, 7), text(file, 3, entry);
    word(static_cast<uint32_t>(file.size()));
    bytes_ += file;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void word(uint32_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  static void varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
  }
  static void number(std::string& out, uint64_t field, uint64_t value) {
    varint(out, field << 3), varint(out, value);
  }
  static void text(std::string& out, uint64_t field, const std::string& value) {
    varint(out, field << 3 | 2), varint(out, value.size());
    out += value;
  }
  std::string bytes_;
};

TEST(ProcessImage, FindsTheFilesThatWereOpenForWriting) {
  FilesImage image;
  image.regular("/data/out.txt", O_WRONLY | O_APPEND, 200, S_IFREG | 0644)
      .regular("/data/out.txt", O_WRONLY | O_APPEND, 300, S_IFREG | 0644)
      .regular("/data/table", O_RDWR, 4096, S_IFREG | 0644)
      .regular("/data/in.txt", O_RDONLY, 5, S_IFREG | 0644)
      .regular("/dev/null", O_RDWR, 0, S_IFCHR | 0666);
  const std::vector<WrittenFile> files = written_files(image.bytes());
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[1].size, 4096);
  EXPECT_EQ(files[0].path, "/data/out.txt");
  EXPECT_EQ(files[0].size, 300);
}

TEST(ProcessImage, RefusesWhatIsNoListOfFiles) {
  const std::string whole = FilesImage().regular("/a", O_RDWR, 1, S_IFREG).bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    if (size == 8) continue;  // no file at all
    EXPECT_THROW(written_files(std::string_view(whole).substr(0, size)), Error) << size;
  }
  EXPECT_THROW(written_files("something else that is long enough"), Error);
}

TEST(ProcessImage, CutsWhatWasWrittenSince) {
  const std::string path =
      (fs::temp_directory_path() / ("hearth-rewind-" + std::to_string(getpid()))).string();
  std::ofstream(path) << "before"
                      << "after";
  rewind_files({.written = {{path, 6}}});
  EXPECT_EQ(fs::file_size(path), 6u);
  EXPECT_THROW(rewind_files({.written = {{path, 7}}}), Error);
  fs::remove(path);
  EXPECT_THROW(rewind_files({.written = {{path, 0}}}), Error);
}

}  // namespace
}  // namespace hearth::forge
