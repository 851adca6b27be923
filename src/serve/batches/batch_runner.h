// Works through batches when nobody else needs the engine. What is done is in the store; what is
// here can be lost at any moment. Everything runs on one Serial; any thread may call.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "serve/batches/batch_store.h"
#include "serve/executor.h"
#include "serve/ids.h"
#include "serve/server_options.h"
#include "transport/http.h"

namespace hearth::serve {

class BatchRunner : public std::enable_shared_from_this<BatchRunner> {
 public:
  // Ends a request that is under way; its answer is then to try again later.
  using GiveUp = std::function<void()>;

  struct House {
    BatchStore& store;
    FileStore& files;
    Executor& executor;
    const Clock& clock;
    Ids& ids;
    const ServiceLimits& limits;
    std::string base_model;
    // Runs one request for the tenant of a batch and gives the whole answer, on any thread.
    std::function<GiveUp(const Batch&, transport::HttpRequest,
                         std::function<void(transport::HttpResponse)>)>
        send;
    // How many requests may be in the engine for batches now.
    std::function<int64_t()> room;
  };

  explicit BatchRunner(House house);

  // Something may have changed: a new batch, a cancelled one, time.
  void wake();
  // Nothing is begun any more; what is under way is still taken.
  void stop();

 private:
  struct Active {
    Batch batch;
    std::deque<BatchItem> waiting;  // the next of those that are pending
    int64_t read_to = 0;            // the line up to which they were taken from the store
    bool read_all = false;
    std::map<int64_t, GiveUp> in_flight;  // by line
  };

  void post(Task task);
  void look();
  void refresh();
  void validate(Active& active);
  void fill();
  bool begin_one(Active& active);
  void take_answer(const std::string& batch, const BatchItem& item,
                   const transport::HttpResponse& response);
  void give_up_where_over();
  void close_where_done();
  void close(Active& active, const char* status);
  std::optional<StoredFile> write_file(const Active& active, ItemStatus status, const char* what);
  int64_t now_s() const { return house_.clock.wall() / kSecond; }

  const House house_;
  const std::shared_ptr<Serial> serial_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> woken_{false};
  // The Serial's own.
  std::map<std::string, Active> active_;
  std::string turn_;  // the batch that came last
  int64_t in_flight_ = 0;
  bool pushed_back_ = false;  // the engine was full: no more before the next look
};

}  // namespace hearth::serve
