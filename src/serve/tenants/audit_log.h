// Who changed what, never changed itself. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serve/state/page.h"

namespace hearth::serve {

class State;

struct AuditEntry {
  std::string id;  // "audit_log-..."
  int64_t at_s = 0;
  std::string type;     // "api_key.created"
  std::string actor;    // the id of a key, "open" on a server without keys, or "cli"
  std::string project;  // whose thing it was; empty: the organisation's
  std::string object;   // its id
  std::string details;  // JSON
};

struct AuditQuery {
  Page page;
  std::vector<std::string> types, projects, actors, objects;  // empty: all
};

class AuditLog {
 public:
  explicit AuditLog(State& state) : state_(state) {}
  void add(const AuditEntry& entry);
  Listed<AuditEntry> list(const AuditQuery& query);

 private:
  State& state_;
};

}  // namespace hearth::serve
