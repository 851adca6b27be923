// Adapters that the server keeps: uploaded ones and those that tuning jobs made. What stands here
// is served again after a restart. Any thread.
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

struct ShelvedAdapter {
  std::string owner;  // a tenant, or everybody
  std::string name;
  std::string folder;
  std::string source;  // "upload", or the id of a tuning job
  int64_t created_s = 0;
};

class AdapterShelf {
 public:
  // Without a data_dir nothing can be kept.
  AdapterShelf(State& state, const std::string& data_dir);

  // Where the files of an uploaded adapter go; made. Throws Error{kUnsupported} without a place.
  std::string make_folder(const std::string& id);
  void add(const ShelvedAdapter& adapter);
  // The same as a part of somebody's transaction.
  static void insert(io::Database& database, const ShelvedAdapter& adapter);
  std::vector<ShelvedAdapter> all();
  std::optional<ShelvedAdapter> find(const std::string& owner, const std::string& name);
  // With its files.
  void erase(const ShelvedAdapter& adapter);

 private:
  void remove_orphans();

  State& state_;
  std::string folder_;
};

}  // namespace hearth::serve
