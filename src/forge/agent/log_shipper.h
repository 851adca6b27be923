// Carries what workers write from the run folders to the server, and clears the folders of lives
// that are over. Each of several servers gets it all, so that whichever decides has the logs. A
// server says how much it has, so that nothing is sent in vain after a restart of either. One
// thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "forge/agent/server_link.h"
#include "transport/http_client.h"

namespace hearth::forge {

class LogShipper {
 public:
  LogShipper(std::string state_dir, const ServerPlace& servers, const std::string& node);

  // Sends what is new. Throws Error(kIo) when no server can be reached.
  void ship();

 private:
  struct Target {
    std::string url;  // of its route for this node's logs
    std::unique_ptr<transport::HttpClient> http;
    std::map<std::string, int64_t> sent;  // by file
    Millis away_since = -1;               // -1: it answers
    Millis ask_again_at = 0;
  };

  void ship_run(const std::string& folder, const std::string& incarnation);
  // True: every server that counts has all that there is now.
  bool ship_to_all(const std::string& path, const std::string& query);
  bool ship_file(Target& target, const std::string& path, const std::string& query) const;
  void forget(const std::string& path);

  std::string state_dir_;
  std::string token_;
  int64_t answer_ms_;
  std::vector<Target> targets_;
  std::set<std::string> done_;  // folders
};

}  // namespace hearth::forge
