// etcd as Forge uses it: its JSON gateway, with all keys below one prefix. Blocking; one thread for
// each object.
//
// A request goes to the member that answered last, and on to the next when one is silent, refuses
// or has lost its cluster. So a write may happen twice, or late, when its first answer was lost:
// guard it by something that it changes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/json_fwd.h"
#include "transport/http_client.h"

namespace hearth::forge {

struct EtcdOptions {
  std::vector<std::string> urls;         // of its members, http://host:2379; empty: no etcd is used
  std::string prefix = "/hearth/forge";  // the servers that share it are one Forge
  std::string user;                      // of an etcd with authentication; empty: none
  std::string password;                  // that user's
  transport::ClientTls tls{};            // for members at https://
  int64_t lease_s = 5;                   // a server that etcd has not heard for so long is deposed
  int64_t patience_ms = 1'250;           // for a member's answer, before the next one is asked
  int64_t compact_ms = 300'000;          // revisions older than this are given up
};

struct EtcdRow {
  std::string key;
  std::string value;
  int64_t created = 0;  // revision in which the key began
  int64_t lease = 0;    // by which it lives; 0: for ever
};

// What has to hold for a write to happen.
struct EtcdGuard {
  std::string key;
  int64_t created = 0;               // 0: there is no such key
  std::optional<std::string> value;  // instead: this is its value
};

struct EtcdWrite {
  std::vector<EtcdGuard> guards;
  std::vector<EtcdRow> puts;         // keys and values
  int64_t lease = 0;                 // by which these live
  std::vector<std::string> removed;  // every key that begins like one of these
};

struct EtcdOutcome {
  bool done = false;  // false: a guard did not hold
  int64_t revision = 0;
};

class Etcd {
 public:
  explicit Etcd(EtcdOptions options);
  // Over another client.
  Etcd(EtcdOptions options, std::unique_ptr<transport::HttpClient> http);

  // All of these throw Error(kUnavailable) when no member answers, with the cure.
  std::optional<EtcdRow> get(const std::string& key);
  // Those that begin so, by key.
  std::vector<EtcdRow> list(const std::string& prefix);
  // All of it or nothing; on the disks of most members when it returns. Without anything to write
  // it is a question, answered as of now.
  EtcdOutcome transact(const EtcdWrite& write);

  int64_t grant(int64_t seconds);
  // Nothing: the lease is over. Else the revision as of now.
  std::optional<int64_t> keep_alive(int64_t lease);
  void revoke(int64_t lease);
  void compact(int64_t revision);

  const EtcdOptions& options() const { return options_; }

 private:
  io::Json ask(const std::string& path, const io::Json& body);
  io::Json ask_members(const std::string& path, const std::string& body);
  void authenticate();
  int64_t patience_for(const std::string& path) const;
  std::optional<io::Json> ask_member(const std::string& path, const std::string& body);
  std::string full(const std::string& key) const;
  EtcdRow row_of(const io::Json& pair) const;

  EtcdOptions options_;
  std::unique_ptr<transport::HttpClient> http_;
  size_t member_ = 0;    // that answered last
  std::string token_;    // what etcd gave this user; empty: not asked yet, or nobody
  std::string trouble_;  // of the last one that did not
};

}  // namespace hearth::forge
