// The routes of a Forge server that its scheduler answers: /v1/forge/... for people and programs,
// /v1/forge/agents/... for agents. docs/forge.md lists them. Handlers run on I/O threads and leave
// the work to the loop.
#pragma once

#include <string>

#include "forge/server/log_store.h"
#include "forge/server/loop.h"
#include "io/json_fwd.h"

namespace hearth::forge {

class Api {
 public:
  using Exchange = std::shared_ptr<transport::HttpExchange>;

  Api(Loop& loop, LogStore& logs) : loop_(loop), logs_(logs) {}

  // Of somebody who may ask (door.h).
  void handle(const Exchange& exchange);

 private:
  using Words = std::vector<std::string>;  // of the path, after /v1/forge

  void route(const Exchange& exchange, const Words& words);
  bool route_jobs(const Exchange& exchange, const Words& words);
  bool route_nodes(const Exchange& exchange, const Words& words);
  bool route_past(const Exchange& exchange, const Words& words);
  bool route_agents(const Exchange& exchange, const Words& words);

  void list_jobs(const Exchange& exchange);
  void submit(const Exchange& exchange);
  void resize(const Exchange& exchange, JobId job);
  void scale(const Exchange& exchange, JobId job);
  void move(const Exchange& exchange, JobId job);
  void restart(const Exchange& exchange, JobId job);
  void send_log(const Exchange& exchange, JobId job);
  void timeline(const Exchange& exchange);
  void notes(const Exchange& exchange);
  void enroll(const Exchange& exchange, const std::string& name);
  void stream_commands(const Exchange& exchange);

  // Answers with what `view` makes on the loop's thread.
  void answer(const Exchange& exchange, const std::function<io::Json()>& view);
  // Feeds the event that `make` makes there, and answers with the job.
  void change(const Exchange& exchange, std::function<Event()> make);

  Loop& loop_;
  LogStore& logs_;
};

}  // namespace hearth::forge
