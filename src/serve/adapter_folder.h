// A folder whose folders are adapters: what appears in it is served, what goes is not, what changes
// is loaded anew. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "serve/adapter_registry.h"

namespace hearth::serve {

// The folder that a tenant means by a path: inside `root`, and not inside another tenant's part of
// it. What is not the tenant's to see is not there: empty.
std::string folder_inside(const std::string& root, const std::string& tenant,
                          const std::string& path);

class AdapterFolder {
 public:
  // DIR/NAME is everybody's, DIR/@TENANT/NAME that tenant's. `registry` outlives this. Without a
  // folder, look() does nothing. Throws Error{kNotFound} naming --lora-dir when there is none.
  AdapterFolder(std::string folder, AdapterRegistry& registry);

  // Takes what is there as it is.
  void look_at_start();
  // Takes what has not changed since the last look: files that are still being written wait. Faults
  // are logged, once for each state of the files.
  void look();

 private:
  enum class State : uint8_t { kSeen, kServed, kRefused };
  struct Known {
    std::string folder;
    int64_t stamp = 0;  // changes with its files
    State state = State::kSeen;
  };
  using Key = std::pair<std::string, std::string>;  // owner, name

  void find_in(const std::string& folder, const std::string& owner, std::map<Key, Known>& found);
  void take(const Key& key, Known& known);
  void drop_missing(const std::map<Key, Known>& found);

  const std::string folder_;
  AdapterRegistry& registry_;
  std::map<Key, Known> known_;
};

}  // namespace hearth::serve
