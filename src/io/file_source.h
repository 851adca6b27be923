// A named set of read-only files: a model's folder on disk, or a table inside the program.
//
// What is loaded from it may point into it (weights are read in place), so it outlives what was
// loaded. Not thread-safe while files are opened for the first time: one loader uses it.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"

namespace hearth::io {

class FileSource {
 public:
  virtual ~FileSource() = default;
  virtual bool has(const std::string& name) const = 0;
  // The bytes of a file, alive and unchanged as long as the source. Throws Error{kNotFound} naming
  // it.
  virtual std::span<const std::byte> bytes(const std::string& name) = 0;
  // Much of what was read is not needed soon: files that are mapped give their pages back.
  virtual void release_pages() {}
  // Of the files that are mapped: all bytes, and what MappedFile's does with each, by one thread
  // and once no other file is opened.
  virtual size_t mapped_bytes() const { return 0; }
  virtual size_t move_to_huge_pages(const std::stop_token&) { return 0; }
  // How messages call a file of this source: its path.
  virtual std::string where(const std::string& name) const = 0;

  // The same bytes as characters.
  std::string_view text(const std::string& name);
};

// What a source does with all its mapped files.
size_t mapped_bytes(const std::map<std::string, MappedFile>& files);
size_t move_to_huge_pages(std::map<std::string, MappedFile>& files, const std::stop_token& stop);

// A folder; each file is mapped when it is first asked for.
class Folder final : public FileSource {
 public:
  // Throws Error{kNotFound} when there is no such folder.
  explicit Folder(std::string path);
  bool has(const std::string& name) const override;
  std::span<const std::byte> bytes(const std::string& name) override;
  void release_pages() override;
  size_t mapped_bytes() const override;
  size_t move_to_huge_pages(const std::stop_token& stop) override;
  std::string where(const std::string& name) const override;

 private:
  std::string path_;
  std::map<std::string, MappedFile> files_;
};

// Files that are already in memory: those linked into the program, or made by a test.
class MemoryFiles final : public FileSource {
 public:
  struct File {
    std::string name;
    std::span<const std::byte> bytes;
  };

  // `label` stands before the names in messages.
  MemoryFiles(std::string label, std::vector<File> files);
  bool has(const std::string& name) const override;
  std::span<const std::byte> bytes(const std::string& name) override;
  std::string where(const std::string& name) const override;

 private:
  std::string label_;
  std::vector<File> files_;
};

}  // namespace hearth::io
