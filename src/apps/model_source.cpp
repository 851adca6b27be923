#include "apps/model_source.h"

#include <cstdlib>
#include <filesystem>
#include <span>
#include <vector>

#include "apps/embedded.h"
#include "base/error.h"
#include "io/gguf.h"

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
  return {kEmbeddedName, "",
          std::make_unique<io::MemoryFiles>("embedded:ember/", std::move(files))};
}

ModelSource folder_source(const fs::path& path) {
  return {path.filename().string(), path.string(), std::make_unique<io::Folder>(path.string())};
}

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf" && fs::is_regular_file(path);
}

// The GGUF file of a folder without a config.json; of a split model, its first part.
fs::path gguf_inside(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const bool later_part =
        name.find("-of-") != std::string::npos && name.find("-00001-of-") == std::string::npos;
    if (is_gguf(entry.path()) && !later_part) found.push_back(entry.path());
  }
  if (found.size() > 1) {
    throw_error(ErrorCode::kInvalidArgument, folder.string(),
                "there are {} GGUF files in it; name one of them", found.size());
  }
  return found.empty() ? fs::path() : found.front();
}

bool is_model(const fs::path& path) {
  if (is_gguf(path) || fs::is_regular_file(path / "config.json")) return true;
  return fs::is_directory(path) && !gguf_inside(path).empty();
}

ModelSource source_at(const fs::path& path) {
  if (fs::is_regular_file(path / "config.json")) return folder_source(path);
  const fs::path file = is_gguf(path) ? path : gguf_inside(path);
  return {file.stem().string(), file.string(), std::make_unique<io::GgufFile>(file.string())};
}

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
  const fs::path path = tidy(argument);
  if (is_model(path)) return source_at(path);
  const fs::path named = fs::path(data_dir) / "models" / argument;
  if (is_model(named)) return source_at(tidy(named));
  const fs::path file = named.string() + ".gguf";
  if (is_gguf(file)) return source_at(file);
  if (argument == kEmbeddedName) return embedded_source();
  if (fs::exists(path)) {
    throw_error(ErrorCode::kNotFound, argument,
                "there is no config.json and no .gguf file in it: expected a Hugging Face model "
                "folder or a GGUF file");
  }
  throw_error(ErrorCode::kNotFound, argument,
              "no such model: neither a folder, nor a .gguf file, nor {}, nor the name 'ember'",
              named.string());
}

}  // namespace hearth::apps
