// Carries what workers write from the run folders to the server, and clears the folders of lives
// that are over. The server says how much it has, so that nothing is sent in vain after a restart
// of either. One thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "transport/http_client.h"

namespace hearth::forge {

class LogShipper {
 public:
  LogShipper(std::string state_dir, std::string logs_url, std::string token);

  // Sends what is new. Throws Error(kIo) when the server cannot be reached.
  void ship();

 private:
  void ship_run(const std::string& folder, const std::string& incarnation);
  bool ship_file(const std::string& path, const std::string& query);

  std::string state_dir_;
  std::string logs_url_;
  std::string token_;
  std::unique_ptr<transport::HttpClient> http_;
  std::map<std::string, int64_t> sent_;  // by file
  std::set<std::string> done_;           // folders
};

}  // namespace hearth::forge
