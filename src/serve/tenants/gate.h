// Whether a request may enter: who calls, what the key may do, whether there is room, and whether
// the tenant's limits allow it; and what it used in the end. Answers refusals itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "serve/generation.h"
#include "transport/http.h"

namespace hearth::serve {

struct Call;
struct Route;

// How many requests each tenant has in the house. Any thread.
class TenantCounts : public std::enable_shared_from_this<TenantCounts> {
 public:
  // A place that is given back when the pointer dies; null when `limit` are taken.
  std::shared_ptr<void> enter(const std::string& tenant, int64_t limit);
  // Of all tenants.
  int64_t total() const { return total_; }

 private:
  void leave(const std::string& tenant);

  std::mutex mutex_;
  std::map<std::string, int64_t> counts_;  // guarded by mutex_
  std::atomic<int64_t> total_{0};
};

// What the client sent as its key; empty: nothing.
std::string key_of(const transport::HttpRequest& request);

// Before the body is read, so that a refusal costs next to nothing. Notes in the call who it is.
// False: the answer has been given.
bool admit(Call& call, const Route& route);

// Reserves the tokens that the prompts may take, and gives a surface that tells `surface`
// everything and notes what was used before it is done. Null: the answer has been given.
std::unique_ptr<Surface> meter(Call& call, const GenerationRequest& request,
                               std::unique_ptr<Surface> surface);

}  // namespace hearth::serve
