// Stored responses of /v1/responses: what GET shows and what previous_response_id goes on from. In
// SQLite, in the data directory, or in memory without one. Each belongs to a tenant.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace hearth::serve {

struct StoredResponse {
  std::string id;
  std::string tenant;
  int64_t created_s = 0;
  std::string response;      // JSON, as it was answered
  std::string conversation;  // JSON: chat messages up to and with this answer
};

// Thread-safe.
class ResponseStore {
 public:
  // Over `count_max` the oldest go. Throws Error naming the file.
  ResponseStore(const std::string& data_dir, int64_t count_max);
  ~ResponseStore();

  void put(const StoredResponse& response);
  std::optional<StoredResponse> find(const std::string& id, const std::string& tenant);
  // False when there was none.
  bool erase(const std::string& id, const std::string& tenant);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::serve
