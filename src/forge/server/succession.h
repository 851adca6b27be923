// Several servers with one etcd, of which one decides. A thread looks who does, takes over when
// nobody does, and steps back as soon as another server might: the scheduler is thrown away then,
// and made again from the store when it is this server's turn once more.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "forge/etcd/etcd.h"
#include "forge/server/log_store.h"
#include "forge/server/reign.h"

namespace hearth::forge {

class Leadership;

class Succession {
 public:
  Succession(EtcdOptions etcd, ReignTerms terms, LogStore& logs, const Clock& clock);
  ~Succession();  // stop()

  // `url`: where others find this server.
  void start(std::string url);
  // Gives back what this server has, so that another one goes on at once.
  void stop();
  // Any thread.
  Seat seat() const;

 private:
  void run();
  bool look(Etcd& etcd);
  void decide(Leadership& leadership);
  void publish(std::shared_ptr<Reign> reign, Leadership* leadership, std::string leader);
  bool pause(std::chrono::milliseconds time);

  const EtcdOptions etcd_;
  const ReignTerms terms_;
  LogStore& logs_;
  const Clock& clock_;
  std::string url_;
  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  Seat seat_;
  Leadership* leadership_ = nullptr;  // while there is a reign
  std::thread thread_;
};

}  // namespace hearth::forge
