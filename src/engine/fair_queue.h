// Sequences that wait, in lines: one for each deployment and class of service. Decides whose turn
// it is.
//
// Classes are strict. Within a class each line has a counter of what it was served, in time at its
// own rate (virtual token counter: Sheng et al., OSDI '24, with weights): the line that is furthest
// behind is next. A line that comes back after it was empty does not bring a credit: its counter is
// lifted to the least of those who wait. Two lines that wait all the time therefore never differ by
// more than what one of them can be served between two of its turns: its longest prompt and what
// its running sequences still generate. Within a line the order is by rank, in two lanes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/request_queue.h"
#include "engine/sequence.h"

namespace hearth::engine {

struct Flow {
  ServiceClass service_class = ServiceClass::kStandard;
  DeploymentId deployment = kNoDeployment;
  Cost rate = 0;     // a minute; the weight
  Nanos served = 0;  // what it was charged, as time at `rate`
  int64_t waiting_tokens = 0;
  int32_t requests = 0;  // that stand or stood in it and are not forgotten
  RequestQueue queue;
};

class FairQueue {
 public:
  // Weight of a line that bought nothing.
  static constexpr Cost kCommonRate = 1'000'000'000'000;

  explicit FairQueue(int32_t long_threshold) : long_threshold_(long_threshold) {}

  // What a deployment bought, from now on; its other classes share as everybody.
  void set_rate(DeploymentId deployment, Cost rate_per_minute);
  // Its lines go when the last request has.
  void forget(DeploymentId deployment);

  // The line of a request, which stays until leave().
  Flow& enter(ServiceClass service_class, DeploymentId deployment);
  void leave(Flow& flow);

  void push(Sequence& sequence);
  void remove(Sequence& sequence);
  // Whose turn it is among those of one class and lane; null: nobody waits there.
  Sequence* front(ServiceClass service_class, Lane lane) const;
  // Of both lanes.
  Sequence* front(ServiceClass service_class) const;
  // Whether `a` comes before `b` of the same class.
  static bool before(const Sequence& a, const Sequence& b);
  static void charge(Flow& flow, Cost cost);

  int32_t size() const { return size_; }
  int32_t size(ServiceClass service_class) const;
  int32_t size(ServiceClass service_class, Lane lane) const;
  // Of those who wait in classes above.
  int64_t tokens_above(ServiceClass below) const;
  // Weights of the lines of a class with requests in the engine.
  Cost rate_present(ServiceClass service_class) const;
  // Every line there is, also the empty ones.
  std::vector<const Flow*> flows() const;

 private:
  using Key = std::pair<ServiceClass, DeploymentId>;

  Cost rate_of(const Key& key) const;
  Nanos floor_of(ServiceClass service_class) const;
  void change_rate(Flow& flow, Cost rate);
  std::vector<Flow*>& active(ServiceClass service_class) {
    return active_[static_cast<size_t>(service_class)];
  }

  const int32_t long_threshold_;
  std::map<Key, std::unique_ptr<Flow>> flows_;
  std::map<DeploymentId, Cost> rates_;
  std::vector<Flow*> active_[3];  // by class: lines in which somebody waits
  Nanos last_served_[3] = {};     // by class: counter of the line that emptied last
  int32_t size_ = 0;
};

}  // namespace hearth::engine
