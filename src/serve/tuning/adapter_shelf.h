// Adapters that the server remembers: uploaded ones, those that tuning jobs made, and those that
// the API loaded from --lora-dir. What stands here is served again after a restart. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth::io {
class Database;
}

namespace hearth::serve {

class State;

// Source of those whose files are somebody else's.
inline constexpr const char* kFolderSource = "folder";

struct ShelvedAdapter {
  std::string owner;  // a tenant, or everybody
  std::string name;
  std::string folder;
  std::string source;  // "upload", "folder", or the id of a tuning job
  int64_t created_s = 0;

  bool has_own_files() const { return source != kFolderSource; }
};

class AdapterShelf {
 public:
  // Without a data_dir nothing can be kept.
  AdapterShelf(State& state, const std::string& data_dir);

  // Where the files of an uploaded adapter go; made. Throws Error{kUnsupported} without a place.
  std::string make_folder(const std::string& id);
  // In place of one of that name from a folder, which was not served any more. Throws
  // Error{kInvalidArgument, "lora_name"} where one with files of its own has the name.
  void add(const ShelvedAdapter& adapter);
  // The same as a part of somebody's transaction.
  static void insert(io::Database& database, const ShelvedAdapter& adapter);
  std::vector<ShelvedAdapter> all();
  std::optional<ShelvedAdapter> find(const std::string& owner, const std::string& name);
  // With its files, where they are its own.
  void erase(const ShelvedAdapter& adapter);

 private:
  void remove_orphans();

  State& state_;
  std::string folder_;
};

}  // namespace hearth::serve
