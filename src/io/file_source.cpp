#include "io/file_source.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace hearth::io {

std::string_view FileSource::text(const std::string& name) {
  const auto data = bytes(name);
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

size_t mapped_bytes(const std::map<std::string, MappedFile>& files) {
  size_t bytes = 0;
  for (const auto& [name, file] : files) bytes += file.bytes().size();
  return bytes;
}

size_t move_to_huge_pages(std::map<std::string, MappedFile>& files, const std::stop_token& stop) {
  size_t moved = 0;
  for (auto& [name, file] : files) moved += file.move_to_huge_pages(stop);
  return moved;
}

Folder::Folder(std::string path) : path_(std::move(path)) {
  if (!file_exists(path_ + "/.")) {
    throw_error(ErrorCode::kNotFound, path_, "no such folder; give the path of a model's folder");
  }
}

bool Folder::has(const std::string& name) const { return file_exists(where(name)); }

std::span<const std::byte> Folder::bytes(const std::string& name) {
  auto it = files_.find(name);
  if (it == files_.end()) it = files_.emplace(name, MappedFile(where(name))).first;
  return it->second.bytes();
}

void Folder::release_pages() {
  for (const auto& [name, file] : files_) file.release_pages();
}

size_t Folder::mapped_bytes() const { return io::mapped_bytes(files_); }

size_t Folder::move_to_huge_pages(const std::stop_token& stop) {
  return io::move_to_huge_pages(files_, stop);
}

std::string Folder::where(const std::string& name) const { return path_ + "/" + name; }

MemoryFiles::MemoryFiles(std::string label, std::vector<File> files)
    : label_(std::move(label)), files_(std::move(files)) {}

bool MemoryFiles::has(const std::string& name) const {
  return std::any_of(files_.begin(), files_.end(), [&](const File& f) { return f.name == name; });
}

std::span<const std::byte> MemoryFiles::bytes(const std::string& name) {
  for (const File& file : files_) {
    if (file.name == name) return file.bytes;
  }
  throw_error(ErrorCode::kNotFound, where(name), "no such file");
}

std::string MemoryFiles::where(const std::string& name) const { return label_ + "/" + name; }

}  // namespace hearth::io
