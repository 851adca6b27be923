// One server's turn to decide: a key in etcd that lives by a lease, and the thread that keeps it
// alive. Everything that this server writes is guarded by that very key (guard()), so that it can
// be late, but never wrong; over() is only so that it stops as soon as it can know.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "forge/etcd/etcd.h"

namespace hearth::forge {

class Leadership {
 public:
  // Null: another server has it. `url` is where others find this one.
  static std::unique_ptr<Leadership> take(const EtcdOptions& options, const std::string& url,
                                          const Clock& clock);
  // The address of the server that has it.
  static std::optional<std::string> holder(Etcd& etcd);

  ~Leadership();  // gives it back, so that another server can go on at once
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;

  // Any thread.
  EtcdGuard guard() const;
  bool over() const;
  void end();
  void wait_until_over();

 private:
  Leadership(EtcdOptions options, int64_t lease, int64_t created, Nanos until, const Clock& clock);

  void keep();
  // How the lease was found; false: it is over.
  bool renew(Etcd& etcd);
  void compact(Etcd& etcd, int64_t revision);

  const EtcdOptions options_;
  const int64_t lease_;
  const int64_t created_;
  const Clock& clock_;
  std::atomic<Nanos> until_;  // by this machine's clock; the lease itself is no shorter
  Nanos compact_at_ = 0;
  int64_t compact_to_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace hearth::forge
