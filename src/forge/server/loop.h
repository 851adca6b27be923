// The one thread on which the scheduler lives. Other threads hand it tasks; all that came meanwhile
// is one turn (control.h). Commands leave, and people who follow the events hear of them, only
// after the commit.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "forge/server/control.h"
#include "transport/http.h"

namespace hearth::forge {

class Loop {
 public:
  // Runs on the loop's thread. It reads, or adds requests to this turn; those answer by themselves.
  using Task = std::function<void(std::vector<Request>& requests)>;

  // `on_failure`: the store failed, and nothing that came is answered any more. On the loop's
  // thread.
  using OnFailure = std::function<void(const Error& error)>;

  Loop(Control& control, History& history, const Clock& clock, OnFailure on_failure);
  ~Loop();  // stop()

  void start();
  void stop();
  void post(Task task);

  // The rest is for tasks only.
  const Control& control() const { return control_; }
  History& history() { return history_; }
  // Commands for the nodes go there as frames, from now on; whoever had them before is finished.
  void connect_agents(const std::vector<NodeId>& nodes,
                      const std::shared_ptr<transport::HttpExchange>& stream);
  // Sends every note after `after` (-1: after the last one) as a server-sent event.
  void follow_notes(int64_t after, std::shared_ptr<transport::HttpExchange> stream);

 private:
  struct Follower {
    int64_t after = 0;
    Millis told_at = 0;  // by the clock that nobody sets
    std::shared_ptr<transport::HttpExchange> stream;
  };

  void run();
  void turn(std::vector<Task> tasks);
  void send(const std::vector<Command>& commands);
  void tell_followers();
  void take_sample();

  Control& control_;
  History& history_;
  const Clock& clock_;
  OnFailure on_failure_;
  std::map<NodeId, std::shared_ptr<transport::HttpExchange>> agents_;
  std::vector<Follower> followers_;
  Millis next_sample_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Task> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::forge
