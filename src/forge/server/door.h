// Where every request comes in: what any server answers for itself (is it there, its page, what
// workers wrote), who may ask for more, and where to ask when another server decides. On I/O
// threads.
#pragma once

#include <functional>
#include <string>

#include "forge/server/log_store.h"
#include "forge/server/page.h"
#include "forge/server/reign.h"

namespace hearth::forge {

class Door {
 public:
  // The page is for everybody; every other request must bear `token`.
  Door(LogStore& logs, std::string token, ServerPage page, std::function<Seat()> seat)
      : logs_(logs),
        token_(std::move(token)),
        version_(std::move(page.version)),
        web_(std::move(page.files)),
        seat_(std::move(seat)) {}

  void handle(const Api::Exchange& exchange);

 private:
  bool authorised(const transport::HttpRequest& request) const;
  // What needs no token; false: this does.
  bool answer_open(transport::HttpExchange& exchange, const Seat& seat) const;
  // False: it is no log.
  bool take_log(transport::HttpExchange& exchange);

  LogStore& logs_;
  std::string token_;
  std::string version_;
  transport::StaticFiles web_;
  std::function<Seat()> seat_;
};

}  // namespace hearth::forge
