// The two streams between a program of agents and its server, each read or written by a thread of
// its own: commands in, events out. They last as long as the process. A server that does not know
// the nodes ends it: their numbers mean nothing there. Among
// several servers each stream finds the one that decides by itself.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "forge/agent/mailbox.h"
#include "forge/agent/server_link.h"
#include "forge/core/messages.h"

namespace hearth::forge {

class ServerStreams {
 public:
  explicit ServerStreams(ServerPlace place) : place_(std::move(place)) {}

  // Once. Returns when the commands' stream stands, or a little later without it.
  void open(std::vector<std::string> nodes, int64_t lease_ms);

  Mailbox<Command> commands;
  Mailbox<Event> events;

 private:
  [[noreturn]] void read_commands();
  [[noreturn]] void send_events();

  ServerPlace place_;
  std::vector<std::string> nodes_;
  int64_t silence_ms_ = 0;  // the longest of the commands' stream
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;  // guarded by mutex_
};

}  // namespace hearth::forge
