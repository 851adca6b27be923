#include "apps/model_source.h"

#include <cstdlib>
#include <filesystem>
#include <span>
#include <vector>

#include "apps/embedded.h"
#include "base/error.h"

namespace hearth::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEmbeddedName = "ember";

ModelSource embedded_source() {
  std::vector<io::MemoryFiles::File> files;
  for (const EmbeddedFile& file : embedded_model()) {
    files.push_back({std::string(file.path), std::as_bytes(std::span(file.bytes))});
  }
  if (files.empty()) {
    throw_error(ErrorCode::kNotFound, kEmbeddedName,
                "this build has no model inside; name a model folder instead");
  }
  return {kEmbeddedName, std::make_unique<io::MemoryFiles>("embedded:ember/", std::move(files))};
}

ModelSource folder_source(const fs::path& path) {
  return {path.filename().string(), std::make_unique<io::Folder>(path.string())};
}

bool is_model(const fs::path& path) { return fs::is_regular_file(path / "config.json"); }

// "models/x/" and "." have names too.
fs::path tidy(const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

}  // namespace

std::string default_data_dir() {
  if (const char* dir = std::getenv("HEARTH_DATA_DIR")) return dir;
  if (const char* dir = std::getenv("XDG_DATA_HOME")) return std::string(dir) + "/hearth";
  if (const char* home = std::getenv("HOME")) return std::string(home) + "/.local/share/hearth";
  return "hearth-data";
}

void make_data_dir(const std::string& data_dir) {
  std::error_code problem;
  fs::create_directories(data_dir, problem);
  if (problem) {
    throw_error(ErrorCode::kIo, "--data-dir", "cannot make the folder {}: {}", data_dir,
                problem.message());
  }
}

ModelSource find_model(const std::string& argument, const std::string& data_dir) {
  if (argument.empty()) return embedded_source();
  const fs::path folder = tidy(argument);
  if (is_model(folder)) return folder_source(folder);
  const fs::path named = fs::path(data_dir) / "models" / argument;
  if (is_model(named)) return folder_source(tidy(named));
  if (argument == kEmbeddedName) return embedded_source();
  if (fs::exists(folder)) {
    throw_error(ErrorCode::kNotFound, argument,
                "there is no config.json in it: expected a Hugging Face model folder");
  }
  throw_error(ErrorCode::kNotFound, argument,
              "no such model: neither a folder, nor {}, nor the name 'ember'", named.string());
}

}  // namespace hearth::apps
