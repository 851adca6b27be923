#include "forge/server/log_store.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

#include "base/error.h"

namespace hearth::forge {

namespace fs = std::filesystem;

LogStore::LogStore(std::string folder) : folder_(std::move(folder)) {
  fs::create_directories(folder_);
}

std::string LogStore::path(const LogKey& key) const {
  return fmt::format("{}/{}/{}.{}.log", folder_, key.job, key.epoch, key.rank);
}

int64_t LogStore::append(const LogKey& key, int64_t offset, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  const std::string file = path(key);
  std::error_code absent;
  const auto size = fs::file_size(file, absent);
  const int64_t have = absent ? 0 : static_cast<int64_t>(size);
  const int64_t known = have - offset;
  if (known < 0 || known >= static_cast<int64_t>(bytes.size())) return have;
  fs::create_directories(fs::path(file).parent_path(), absent);
  const std::string_view fresh = bytes.substr(static_cast<size_t>(known));
  std::ofstream out(file, std::ios::binary | std::ios::app);
  if (!(out << fresh << std::flush)) throw_error(ErrorCode::kIo, file, "cannot be written");
  return have + static_cast<int64_t>(fresh.size());
}

std::string LogStore::read(const LogKey& key, int64_t offset, size_t bytes_max) const {
  std::ifstream in(path(key), std::ios::binary);
  if (!in || !in.seekg(offset)) return {};
  std::string out(bytes_max, '\0');
  in.read(out.data(), static_cast<std::streamsize>(bytes_max));
  out.resize(static_cast<size_t>(in.gcount()));
  return out;
}

std::vector<Epoch> LogStore::epochs(JobId job, int32_t rank) const {
  std::vector<Epoch> out;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(fmt::format("{}/{}", folder_, job), absent)) {
    long epoch = 0;
    int of = 0;
    if (std::sscanf(entry.path().filename().c_str(), "%ld.%d.log", &epoch, &of) == 2 && of == rank)
      out.push_back(epoch);
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace hearth::forge
